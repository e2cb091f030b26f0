"""Plays one row of the gallery: the proof, a dead flow, a sweep of its first connection, and one of its recovery.

Each of them is bounded by time, so that a row takes about two minutes on two cores, and what is played is spread over
all that there is: a sweep that is cut short has tried places from the first byte to the last. The dead flow mostly
waits, so it is played beside the sweeps; not beside the proof, which may restart the server. `LONG` is a proof of a
thousand examples, which is played only where it is asked for.

Everything is given by arguments, so that the tests play a toy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from docs.gallery.shares import sweep_in_shares
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
from pytest_netfault.common.wording import counted
from pytest_netfault.proof.remembered import forgetful

__all__ = ["LONG", "PARTS", "Budget", "Played", "play", "recoveries"]

PROOF, DEAD = "proof", "dead flow"
PARTS = (PROOF, DEAD, "first connection", "recovery")
LONG = "1,000 examples"
SEED = 1
# So many recoveries are played at a time: a client that comes back waits most of the time.
SIDE_BY_SIDE = 4
# The proof ends before its dead flows are all waited for, if the client does not notice them: this one always is.
DEAD_FLOW = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Forget()), Write("a")])
# A loss in a recovery is played so often again: a busy machine is no defect of a client.
AGAIN = 3
# Where a connection that comes back is cut: its first bytes, where it introduces itself, and less densely behind them.
# They are played in this order, so that there is something of all of it when the time is up.
RECOVERY_PLACES = (0, 4, 64, 1, 24, 200, 2, 8, 120, 3, 5, 320)


@dataclass(frozen=True)
class Budget:
    """How much is played of a row.

    Attributes:
        examples: schedules of the proof.
        seconds: of the proof, with all that it does.
        row_seconds: of all of it: the sweep of the first connection has half of what the proof has left of it, and the
            recoveries have the rest. Making a loss of theirs small, and playing it again, comes on top.
        sweep_seconds: of each of these two in any case.
        places: positions of a recovery, for each direction and way to end.
        long_seconds: of the proof of a thousand examples.
    """

    examples: int = 100
    seconds: float = 55.0
    row_seconds: float = 110.0
    sweep_seconds: float = 25.0
    places: tuple[int, ...] = RECOVERY_PLACES
    long_seconds: float = 1800.0


Verdict: TypeAlias = Literal["kept", "broken", "inconclusive", "failed"]


@dataclass(frozen=True)
class Played:
    """What came of one of the four.

    Attributes:
        verdict: ``"kept"``, ``"broken"``, ``"inconclusive"`` if nothing was proved, ``"failed"`` if the client raised.
        figures: what was tried, in words; of a failure, what was raised.
        schedule: the smallest one that breaks it.
        story: the whole message of a loss.
        seconds: how long it took.
        tried: how many schedules or places were played, until the one that broke it.
    """

    verdict: Verdict
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
    began = time.monotonic()

    def left(share: float) -> float:
        return max(budget.sweep_seconds, (began + budget.row_seconds - time.monotonic()) * share)

    def proof(examples: int = budget.examples, seconds: float = budget.seconds) -> Played:
        how = {"max_examples": examples, "max_seconds": seconds, "lanes": lanes, **common}
        with forgetful():
            return _played(verify.no_update_lost, open_store, server, notice=None if alone else notice, **how)

    def dead_flow() -> Played:
        return _played(verify.replay, open_store, server, DEAD_FLOW, notice=notice, **common)

    def first_connection() -> Played:
        how = {"stride": stride, "how": ("fin", "rst"), "notice": None, "lanes": lanes}
        return _played(sweep_in_shares, open_store, server, left(0.5), **how, **common)

    def recovery() -> Played:
        return _recovered(open_store, server, budget.places, left(1.0), lanes or SIDE_BY_SIDE, **common)

    plays = dict(zip(PARTS, (proof, dead_flow, first_connection, recovery), strict=True))
    plays[LONG] = lambda: proof(1_000, budget.long_seconds)
    played = {part: plays[part]() for part in parts if part in (PROOF, LONG)}
    rest = [part for part in parts if part not in played]
    with ThreadPoolExecutor(1) as beside:
        waiting = {part: beside.submit(plays[part]) for part in rest if part == DEAD and not alone}
        played |= {part: plays[part]() for part in rest if part not in waiting}
        played |= {part: one.result() for part, one in waiting.items()}
    return {part: played[part] for part in parts}


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
    open_store: Any, server: Any, places: tuple[int, ...], seconds: float, side_by_side: int, **common: Any
) -> Played:
    """A loss counts if the same place loses again; one that does not is counted and told."""
    began, tried, nothing, once = time.monotonic(), 0, 0, 0

    def play_one(schedule: Schedule) -> Played:
        return _played(verify.replay, open_store, server, schedule, notice=None, **common)

    def play_in_time(number: int, schedule: Schedule) -> Played | None:
        in_time = not number or time.monotonic() - began < seconds
        return play_one(schedule) if in_time else None

    wanted = list(recoveries(places))
    with ThreadPoolExecutor(side_by_side) as pool:
        playing = [pool.submit(play_in_time, number, schedule) for number, schedule in enumerate(wanted)]
        for schedule, first in zip(wanted, playing, strict=True):
            if (found := first.result()) is None:
                break
            plays = [found]
            if found.verdict == "broken":
                with ThreadPoolExecutor(min(AGAIN, side_by_side)) as again:
                    plays += again.map(play_one, [schedule] * AGAIN)
            tried += 1
            lost = sum(one.verdict == "broken" for one in plays)
            if lost > 1 or found.verdict == "failed":
                pool.shutdown(cancel_futures=True)
                figures = f"the schedule failed in {lost} of {len(plays)} plays" if lost else found.figures
                return replace(found, figures=figures, seconds=time.monotonic() - began, tried=tried)
            once += lost
            nothing += found.verdict == "inconclusive"
    figures = f"nothing lost at {tried} of {counted(len(wanted), 'place')}, {nothing} inconclusive"
    if once:
        figures += f"; at {once} an update was lost once and not in {AGAIN} plays of the same schedule"
    verdict: Verdict = "kept" if nothing < tried else "inconclusive"
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
