"""Plays one row of the gallery: the proof, a dead flow, a sweep of its first connection, and one of its recovery.

`LONG` is a proof of a thousand examples, which is played only where it is asked for.

Everything is given by arguments, so that the tests play a toy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pytest_netfault import (
    Break,
    Cut,
    Forget,
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

__all__ = ["LONG", "PARTS", "Budget", "Played", "play", "recoveries"]

PARTS = ("proof", "dead flow", "first connection", "recovery")
LONG = "1,000 examples"
SEED = 1
# So many recoveries are played at a time: a client that comes back waits most of the time.
SIDE_BY_SIDE = 4
# The proof ends before its dead flows are all waited for, if the client does not notice them: this one always is.
DEAD_FLOW = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Forget()), Write("a")])
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
        long_seconds: of the proof of a thousand examples.
    """

    examples: int = 100
    seconds: float = 60.0
    places: tuple[int, ...] = RECOVERY_PLACES
    long_seconds: float = 1800.0


@dataclass(frozen=True)
class Played:
    """What came of one of the three.

    Attributes:
        verdict: ``"kept"``, ``"broken"``, ``"inconclusive"`` if nothing was proved, ``"failed"`` if the client raised.
        figures: what was tried, in words; of a failure, what was raised.
        schedule: the smallest one that breaks it.
        story: the whole message of a loss.
        seconds: how long it took.
        tried: how many schedules or places were played, until the one that broke it.
    """

    verdict: Literal["kept", "broken", "inconclusive", "failed"]
    figures: str
    schedule: str = ""
    story: str = ""
    seconds: float = 0.0
    tried: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def play(
    open_store: Any,
    server: Any,
    *,
    promise: Any,
    settle: float,
    notice: float,
    stride: int,
    budget: Budget,
    alone: bool = False,
    parts: Sequence[str] = PARTS,
) -> dict[str, Played]:
    """Play a client four times, or only these of them; a loss in one does not end the others."""
    common: dict[str, Any] = {"promise": promise, "settle": settle, "seed": SEED}
    lanes = 1 if alone else None

    def proof(examples: int = budget.examples, seconds: float = budget.seconds) -> Played:
        how = {"max_examples": examples, "max_seconds": seconds, "lanes": lanes, **common}
        with forgetful():
            return _played(verify.no_update_lost, open_store, server, notice=None if alone else notice, **how)

    def dead_flow() -> Played:
        return _played(verify.replay, open_store, server, DEAD_FLOW, notice=notice, **common)

    def first_connection() -> Played:
        how = {"stride": stride, "how": ("fin", "rst"), "notice": None, "lanes": lanes}
        return _played(verify.sweep, open_store, server, **how, **common)

    def recovery() -> Played:
        return _recovered(open_store, server, budget.places, lanes or SIDE_BY_SIDE, **common)

    plays = dict(zip(PARTS, (proof, dead_flow, first_connection, recovery), strict=True))
    plays[LONG] = lambda: proof(1_000, budget.long_seconds)
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


def _recovered(
    open_store: Any, server: Any, places: tuple[int, ...], side_by_side: int, **common: Any
) -> Played:
    """A loss counts if the same place loses again; one that does not is counted and told."""
    began, tried, nothing, once = time.monotonic(), 0, 0, 0

    def play_one(schedule: Schedule) -> Played:
        return _played(verify.replay, open_store, server, schedule, notice=None, **common)

    with ThreadPoolExecutor(side_by_side) as pool:
        playing = [(schedule, pool.submit(play_one, schedule)) for schedule in recoveries(places)]
        for schedule, first in playing:
            plays = [first.result()]
            if plays[0].verdict == "broken":
                with ThreadPoolExecutor(min(AGAIN, side_by_side)) as again:
                    plays += again.map(play_one, [schedule] * AGAIN)
            tried += 1
            lost = sum(one.verdict == "broken" for one in plays)
            if lost > 1 or plays[0].verdict == "failed":
                pool.shutdown(cancel_futures=True)
                figures = f"the schedule failed in {lost} of {len(plays)} plays" if lost else plays[0].figures
                return replace(plays[0], figures=figures, seconds=time.monotonic() - began, tried=tried)
            once += lost
            nothing += plays[0].verdict == "inconclusive"
    figures = f"nothing lost at {tried} places, {nothing} inconclusive"
    if once:
        figures += f"; at {once} an update was lost once and not in {AGAIN} plays of the same schedule"
    verdict: Literal["kept", "inconclusive"] = "kept" if nothing < tried else "inconclusive"
    return Played(verdict, figures, seconds=time.monotonic() - began, tried=tried)


def _played(call: Any, *arguments: Any, **options: Any) -> Played:
    began = time.monotonic()
    try:
        report = call(*arguments, **options)
    except verify.UpdateLost as lost:
        found, of = lost.repeated
        figures = f"the schedule failed in {found} of {of} plays"
        spent = time.monotonic() - began
        tried = 0 if lost.report is None else lost.report.examples
        return Played("broken", figures, str(lost.schedule), str(lost), spent, tried)
    except verify.ProvedNothing as nothing:
        spent = time.monotonic() - began
        return Played("inconclusive", str(nothing), seconds=spent, tried=nothing.report.examples)
    except Exception as error:  # of a client or a server of somebody else
        return Played("failed", f"{type(error).__name__}: {error}", seconds=time.monotonic() - began)
    spent = time.monotonic() - began
    return Played("kept", str(report), seconds=spent, tried=report.examples)
