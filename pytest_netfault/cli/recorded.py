"""The play that a trace was recorded from, read from its file.

The trace that a failing proof leaves behind (``report_dir``) holds the schedule, the seed, the promise, and how long
arrivals were waited for. What is wrong with a file is one sentence, with the line where that is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_netfault.checks.locate import line_of
from pytest_netfault.checks.reading import NESTED, FormatError, decode, finite, quoted
from pytest_netfault.checks.trace import PROMISES
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.common.files import CannotRead, read_text
from pytest_netfault.schedules.dead_flows import NOTICE_SECONDS
from pytest_netfault.schedules.schedule import Schedule

__all__ = ["Recorded", "read_recorded"]


@dataclass(frozen=True)
class Recorded:
    """What a trace says about the play that it comes from.

    Attributes:
        schedule: what was played.
        promise: what was promised.
        seed: the seed of what is random inside a fault; None if it was not recorded.
        settle: how long the subscriber was waited for, in seconds; None if it was not recorded.
        notice: the same where a flow died without a word; None if ``settle`` held there too.
    """

    schedule: Schedule
    promise: Any = "every-event"
    seed: int | None = None
    settle: float | None = None
    notice: float | None = NOTICE_SECONDS


def read_recorded(path: Path, *, missing_ok: bool = False) -> Recorded:
    """Read what was played from the trace of a loss, or from a file with a schedule alone (``{"steps": [...]}``).

    Raises:
        CommandFailed: the file cannot be read, or holds no schedule; with its line where that is known.
    """
    if path.suffix == ".py":
        raise CommandFailed(
            f"{path}: give the trace, {path.with_suffix('.json').name}, which stands beside it"
        )
    try:
        text = read_text(path)
    except CannotRead as error:
        raise CommandFailed(f"{path}: {error.reason}") from error
    try:
        return _recorded(decode(text), missing_ok)
    except FormatError as error:
        line = error.line or line_of(text, error.path)
        raise CommandFailed(f"{path}:{line}: {error.reason}") from error
    except RecursionError as error:
        raise CommandFailed(f"{path}:1: {NESTED}") from error


def _recorded(document: Any, missing_ok: bool) -> Recorded:
    if not isinstance(document, dict) or not ({"schedule", "steps"} & set(document)):
        raise FormatError(
            "there is no schedule in it: only a trace that a proof wrote to its report_dir has one"
        )
    if "schedule" not in document:
        return Recorded(_schedule(document, (), missing_ok))
    promise, seed, settle = (document.get(name) for name in ("promise", "seed", "settle"))
    if promise is not None and promise not in PROMISES:
        raise FormatError(
            f"promise must be {' or '.join(map(repr, PROMISES))}, not {quoted(promise)}", ("promise",)
        )
    if seed is not None and type(seed) is not int:
        raise FormatError(f"seed must be a whole number or null, not {quoted(seed)}", ("seed",))
    if settle is not None and not (finite(settle) and settle > 0):
        raise FormatError(f"settle must be more than 0 seconds, not {quoted(settle)}", ("settle",))
    notice = document.get("notice", NOTICE_SECONDS)
    if notice is not None and not (finite(notice) and notice > 0):
        raise FormatError(f"notice must be more than 0 seconds or null, not {quoted(notice)}", ("notice",))
    schedule = _schedule(document["schedule"], ("schedule",), missing_ok)
    return Recorded(schedule, promise or "every-event", seed, settle, notice)


def _schedule(data: Any, at: tuple[str | int, ...], missing_ok: bool) -> Schedule:
    try:
        return Schedule.from_json(data, missing_ok=missing_ok)
    except (ValueError, TypeError, OverflowError) as error:
        # "step 3: ...": the place in the list, counted from 1
        words = str(error)
        number = words[5:].partition(":")[0] if words.startswith("step ") else ""
        inner = (*at, "steps", int(number) - 1) if number.isdigit() else at
        raise FormatError(f"the schedule cannot be played: {words}", inner) from error
