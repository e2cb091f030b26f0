"""Plays one row of the gallery: the proof, a sweep of its first connection, and a sweep of its recovery.

Everything is given by arguments, so that the tests play a toy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pytest_netfault import (
    Break,
    Cut,
    Heal,
    Reset,
    Schedule,
    Subscribe,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    Write,
    verify,
)
from pytest_netfault.proof.remembered import forgetful

__all__ = ["PARTS", "Budget", "Played", "play", "recoveries"]

PARTS = ("proof", "first connection", "recovery")
SEED = 1
# A loss in a recovery is played so often again: a busy machine is no defect of a client.
AGAIN = 3
# Where a connection that comes back is cut: its first bytes, where it introduces itself, and then less densely.
RECOVERY_PLACES = (0, 1, 2, 3, 4, 5, 8, 24, 64, 120, 200, 320)


@dataclass(frozen=True)
class Budget:
    """How much is played of a row.

    Attributes:
        examples: schedules of the proof.
        seconds: of the proof.
        places: positions of a recovery, for each direction and way to end.
    """

    examples: int = 100
    seconds: float = 150.0
    places: tuple[int, ...] = RECOVERY_PLACES


@dataclass(frozen=True)
class Played:
    """What came of one of the three.

    Attributes:
        verdict: ``"kept"``, ``"broken"``, ``"inconclusive"`` if nothing was proved, ``"failed"`` if the client raised.
        figures: what was tried, in words; of a failure, what was raised.
        schedule: the smallest one that breaks it.
        story: the whole message of a loss.
        seconds: how long it took.
    """

    verdict: Literal["kept", "broken", "inconclusive", "failed"]
    figures: str
    schedule: str = ""
    story: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def play(
    open_store: Any,
    server: Any,
    *,
    promise: Any,
    settle: float,
    notice: float | None,
    stride: int,
    budget: Budget,
    parts: Sequence[str] = PARTS,
) -> dict[str, Played]:
    """Play a client three times, or only these of them; a loss in one does not end the others."""
    common: dict[str, Any] = {"promise": promise, "settle": settle, "seed": SEED}

    def proof() -> Played:
        how = {"max_examples": budget.examples, "max_seconds": budget.seconds, "notice": notice}
        with forgetful():
            return _played(verify.no_update_lost, open_store, server, **how, **common)

    def first_connection() -> Played:
        how = {"stride": stride, "how": ("fin", "rst"), "notice": None}
        return _played(verify.sweep, open_store, server, **how, **common)

    def recovery() -> Played:
        return _recovered(open_store, server, budget.places, **common)

    plays = dict(zip(PARTS, (proof, first_connection, recovery), strict=True))
    return {part: plays[part]() for part in parts}


def recoveries(places: tuple[int, ...]) -> Iterator[Schedule]:
    """An outage after which each new connection is cut at one place, until one was cut there and it is healed."""
    for position in places:
        for how in ("fin", "rst"):
            for direction in ("up", "down"):
                cut = Cut(position, direction=direction, how=how)  # type: ignore[arg-type]
                met = WaitForBytes(position, direction=direction) if position else WaitForConnection()  # type: ignore[arg-type]
                away = [Break(Reset()), Break(cut), Write("a"), met, Heal(), Write("b")]
                yield Schedule([Subscribe(), Write("a"), WaitForEvents(), *away])


def _recovered(open_store: Any, server: Any, places: tuple[int, ...], **common: Any) -> Played:
    """A loss counts if the same place loses again; one that does not is counted and told."""
    began, tried, nothing, once = time.monotonic(), 0, 0, 0
    for schedule in recoveries(places):
        plays = [_played(verify.replay, open_store, server, schedule, notice=None, **common)]
        if plays[0].verdict == "broken":
            plays += [
                _played(verify.replay, open_store, server, schedule, notice=None, **common)
                for _ in range(AGAIN)
            ]
        tried += 1
        lost = sum(one.verdict == "broken" for one in plays)
        if lost > 1 or plays[0].verdict == "failed":
            figures = f"the schedule failed in {lost} of {len(plays)} plays" if lost else plays[0].figures
            return replace(plays[0], figures=figures, seconds=time.monotonic() - began)
        once += lost
        nothing += plays[0].verdict == "inconclusive"
    figures = f"nothing lost at {tried} places, {nothing} inconclusive"
    if once:
        figures += f"; at {once} an update was lost once and not in {AGAIN} plays of the same schedule"
    verdict: Literal["kept", "inconclusive"] = "kept" if nothing < tried else "inconclusive"
    return Played(verdict, figures, seconds=time.monotonic() - began)


def _played(call: Any, *arguments: Any, **options: Any) -> Played:
    began = time.monotonic()
    try:
        report = call(*arguments, **options)
    except verify.UpdateLost as lost:
        found, of = lost.repeated
        figures = f"the schedule failed in {found} of {of} plays"
        spent = time.monotonic() - began
        return Played("broken", figures, str(lost.schedule), str(lost), spent)
    except verify.ProvedNothing as nothing:
        return Played("inconclusive", str(nothing), seconds=time.monotonic() - began)
    except Exception as error:  # of a client or a server of somebody else
        return Played("failed", f"{type(error).__name__}: {error}", seconds=time.monotonic() - began)
    return Played("kept", str(report), seconds=time.monotonic() - began)
