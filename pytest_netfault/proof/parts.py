"""A proof in parts, on several machines or workers, and the one report that is made of them.

::

    shard 1/3 --> sweep-seed7-shard-1-of-3.json --\\
    shard 2/3 --> sweep-seed7-shard-2-of-3.json ----> merge_parts --> Report, UpdateLost or ProvedNothing
    shard 3/3 --> sweep-seed7-shard-3-of-3.json --/

Each part writes what it counted into its ``report_dir``. All parts of a proof have the same seed; proofs with several
seeds add up.

No part is missed and none is counted twice: a proof of which one is missing, or there twice, is refused. The numbers of
a part are those of a proof of its own, so that the sum is judged as one proof is.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_netfault.checks.reading import (
    NESTED,
    FormatError,
    decode,
    finite,
    integer,
    items,
    members,
    string,
    text_or_none,
    wrong,
)
from pytest_netfault.common.files import CannotRead, files_below, is_folder, read_text, write_whole
from pytest_netfault.common.printable import error_words
from pytest_netfault.faults import Cut, fault_from_json, fault_to_json
from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.results import Kept, Lost, Nothing, Result
from pytest_netfault.proof.shards import Shard, read_shard
from pytest_netfault.proof.tally import Tally
from pytest_netfault.schedules.schedule import Schedule

__all__ = [
    "Part",
    "find_parts",
    "judged",
    "merge_parts",
    "part_of",
    "read_part",
    "recorded",
    "write_part",
]


# What older versions did not count: without it nobody can say whether anything was put to the test.
_COUNTED_SINCE = {"without_writes", "unexpected", "untested"}


@dataclass(frozen=True)
class Part:
    """The result of one part of a proof.

    Attributes:
        call: ``"no_update_lost"`` or ``"sweep"``.
        shard: which part it is.
        seed: the seed of the whole proof.
        tally: what was counted.
        seconds: how long it took.
        holes: in a sweep, the cuts that never fired.
        sweep: in a sweep, what was swept, in words.
        lost: the loss that ended it, as :func:`merge_parts` reports it again; None if nothing was lost.
        client_failure: how the client itself failed the first time; None if it did not.
    """

    call: str
    shard: Shard
    seed: int
    tally: Tally
    seconds: float
    holes: tuple[Cut, ...] = ()
    sweep: str | None = None
    lost: Lost | None = None
    client_failure: str | None = None

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.call}-seed{self.seed}-shard-{self.shard.number}-of-{self.shard.of}.json"

    def to_json(self) -> dict[str, Any]:
        """The part as plain objects."""
        lost = self.lost
        return {
            "call": self.call,
            "shard": str(self.shard),
            "seed": self.seed,
            "counted": dataclasses.asdict(self.tally),
            "seconds": round(self.seconds, 3),
            "holes": [fault_to_json(hole) for hole in self.holes],
            "sweep": self.sweep,
            "client_failure": self.client_failure,
            "lost": None
            if lost is None
            else {
                "told": lost.message,
                "schedule": lost.schedule.to_json(),
                "broken": list(lost.broken),
                "repeated": list(lost.repeated),
                "trace": lost.trace,
            },
        }

    @classmethod
    def from_json(cls, data: object) -> Part:
        """The part that :meth:`to_json` wrote.

        Raises:
            ValueError: it is none; the message names what is wrong with it.
        """
        of = members(data, ())
        counted = members(of.get("counted"), ("counted",))
        names = [field.name for field in dataclasses.fields(Tally)]
        missing = [name for name in names if name not in counted]
        if missing and set(missing) <= _COUNTED_SINCE:
            raise ValueError(
                f"counted.{missing[-1]} is missing: it was written by an older version, which did not count whether "
                f"updates arrived under a fault; play this part again"
            )
        holes = tuple(fault_from_json(one) for one in items(of, "holes", ()))
        lost = (
            None if of.get("lost") is None else _lost(members(of["lost"], ("lost",)), integer(of, "seed", ()))
        )
        seconds, sweep = of.get("seconds"), of.get("sweep")
        return cls(
            string(of, "call", ()),
            read_shard(string(of, "shard", ())),
            integer(of, "seed", ()),
            Tally(*(_count(counted, name) for name in names)),
            float(seconds) if finite(seconds) else 0.0,
            tuple(hole for hole in holes if isinstance(hole, Cut)),
            sweep if isinstance(sweep, str) else None,
            lost,
            text_or_none(of, "client_failure", ()),
        )


def _count(of: dict[str, Any], name: str) -> int:
    number = integer(of, name, ("counted",))
    if number < 0:
        raise wrong(("counted", name), "at least 0", number)
    return number


def _lost(of: dict[str, Any], seed: int) -> Lost:
    repeated = [one for one in items(of, "repeated", ("lost",)) if isinstance(one, int)]
    return Lost(
        string(of, "told", ("lost",)),
        schedule=Schedule.from_json(of.get("schedule"), missing_ok=True),
        trace=members(of.get("trace"), ("lost", "trace")),
        broken=tuple(map(str, items(of, "broken", ("lost",)))),
        seed=seed,
        repeated=(repeated[0], repeated[1]) if len(repeated) == 2 else (1, 1),
    )


def recorded(result: Result, call: str, settings: Settings, tally: Tally, seconds: float) -> Result:
    """Write the result of one part of a proof, if it is one and has a folder; return the result.

    Args:
        result: the result.
        call: which proof it is.
        settings: say which part it is, and where its file goes.
        tally: what was counted.
        seconds: how long it took.

    Raises:
        OSError: it cannot be written. A loss is not hidden by that: its message says so.
    """
    if settings.shard is None or settings.shard_dir is None:
        return result
    try:
        write_part(settings.shard_dir, part_of(result, call, settings, tally, seconds))
    except OSError as error:
        if not isinstance(result, Lost):
            raise
        return replace(result, message=f"{result.message}\nThe part was not written: {error_words(error)}")
    return result


def part_of(result: Result, call: str, settings: Settings, tally: Tally, seconds: float) -> Part:
    """The result of one part of a proof; arguments as for :func:`recorded`."""
    report = None if isinstance(result, Lost) else result.report
    return Part(
        call,
        settings.part,
        settings.seed,
        tally,
        seconds,
        () if report is None else report.holes,
        None if report is None else report.sweep,
        result if isinstance(result, Lost) else None,
        None if result.report is None else result.report.client_failure,
    )


def write_part(directory: Path, part: Part) -> Path:
    """Write the result of a part; return the file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / part.name
    write_whole(path, json.dumps(part.to_json(), indent=1, ensure_ascii=False) + "\n")
    return path


def read_part(path: Path) -> Part:
    """Read the result of a part.

    Raises:
        ValueError: the file cannot be read or is no part of a proof; the message begins with its name.
    """
    try:
        return Part.from_json(decode(read_text(path)))
    except CannotRead as error:
        raise ValueError(f"{path}: {error.reason}") from error
    except FormatError as error:
        line = "" if error.line is None else f":{error.line}"
        raise ValueError(f"{path}{line}: no part of a proof: {error.reason}") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: no part of a proof: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: no part of a proof: {NESTED}") from error


def find_parts(places: Iterable[Path]) -> list[Path]:
    """The files of parts: those that were named, and those anywhere in the folders that were named.

    Raises:
        ValueError: a folder cannot be read: what is in it would be missed.
    """
    found: list[Path] = []
    try:
        for place in places:
            found += files_below(place, "*-shard-*-of-*.json") if is_folder(place) else [place]
    except CannotRead as error:
        raise ValueError(error.reason) from error
    return found


def merge_parts(parts: Iterable[tuple[str, Part]]) -> Result:
    """What all parts of a proof, or of several, come to together.

    Args:
        parts: each with the name that messages call it by.

    Returns:
        The first loss, if a part has one, with the report of all.

    Raises:
        ValueError: a part is missing, or is there twice.
    """
    proofs: dict[tuple[str, int, int], dict[int, tuple[str, Part]]] = {}
    for name, part in parts:
        proof = proofs.setdefault((part.call, part.seed, part.shard.of), {})
        if part.shard.number in proof:
            other, _ = proof[part.shard.number]
            raise ValueError(
                f"part {part.shard} of {part.call} with seed {part.seed} is there twice: {other} and {name}"
            )
        proof[part.shard.number] = (name, part)
    if not proofs:
        raise ValueError(
            "there is no part of a proof: a proof that is given shard= and report_dir= writes one"
        )
    for (call, seed, of), proof in proofs.items():
        missing = [str(Shard(number, of)) for number in range(1, of + 1) if number not in proof]
        if missing:
            raise ValueError(
                f"of {call} with seed {seed} {'part' if len(missing) == 1 else 'parts'} {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing"
            )
    return judged([part for proof in proofs.values() for _, (_, part) in sorted(proof.items())])


def judged(parts: Sequence[Part], *, seconds: float | None = None, interrupted: str | None = None) -> Result:
    """What parts come to together.

    Args:
        parts: in their order; the first loss is reported.
        seconds: how long all of it took; by default the times of the parts are added.
        interrupted: why some are missing, in words.
    """
    tally = sum((part.tally for part in parts), Tally())
    seeds = {part.seed for part in parts}
    report = replace(
        tally.report(
            seconds=sum(part.seconds for part in parts) if seconds is None else seconds,
            seed=seeds.pop() if len(seeds) == 1 else None,
        ),
        interrupted=interrupted,
        holes=tuple(hole for part in parts for hole in part.holes),
        sweep=next((part.sweep for part in parts if part.sweep), None),
        client_failure=next((part.client_failure for part in parts if part.client_failure), None),
    )
    for part in parts:
        if part.lost is not None:
            return replace(part.lost, report=report)
    reason = tally.proved_nothing(holes=len(report.holes))
    return Kept(report) if reason is None else Nothing(reason, report)
