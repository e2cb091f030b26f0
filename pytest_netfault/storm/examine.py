"""Decides what the plays at one place have shown: a finding is what repeats, where the test passes without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_netfault.common.wording import counted
from pytest_netfault.storm.places import Place
from pytest_netfault.storm.play import NOTHING, Kind, Play, Remains, Suspicion, suspicion

__all__ = ["Verdict", "examine", "surely"]

_MOST_PLAYS = 3  # with the fault, that count
_TRIES = 2  # to reach the place


@dataclass(frozen=True)
class Verdict:
    """What is known of one place.

    Attributes:
        found: what is wrong; None if nothing is.
        times: in how many plays it was seen.
        plays: of how many with the fault.
        reason: why nothing is known; empty where something is.
    """

    found: Suspicion | None = None
    times: int = 0
    plays: int = 0
    reason: str = ""


def surely(kind: Kind, times: int, plays: int) -> bool:
    """Whether what was seen in so many plays is a finding: more often than not, and more than once.

    What is left behind must be left each time, because a pool that grows to its size once is no leak.

    >>> surely("hang", 2, 2), surely("hang", 2, 3), surely("hang", 1, 2), surely("leak", 2, 2), surely("leak", 3, 3)
    (True, True, False, False, True)
    """
    return times == plays == _MOST_PLAYS if kind == "leak" else times >= 2 and 2 * times > plays


def examine(
    place: Place,
    fault: Callable[[], Play],
    plain: Callable[[], Play],
    rebuild: Callable[[], None],
    *,
    warm: bool,
) -> Verdict:
    """Play a test at a place until it is known what that does.

    Args:
        place: where the fault strikes.
        fault: plays the test with it.
        plain: plays the test as it is.
        rebuild: tears down all fixtures, because an earlier play may have left them unusable.
        warm: whether the test was played right before, so that all of its fixtures are there.
    """
    plays: list[Play] = []
    left = NOTHING
    tries = 0
    proven = False  # whether the test has passed as it is right before the next play
    while True:
        if not warm:
            again = _passing(plain, rebuild)
            if not again.passed:
                return Verdict(plays=len(plays), reason=_no_more(again))
            # What this play has left is not counted: the fixtures of the whole session may be among it.
            warm = proven = True
        play = fault()
        if play.excused or not play.struck:
            tries += 1
            reason = play.excused or "the test does not come to this place"
            if tries == _TRIES:
                return Verdict(plays=len(plays), reason=reason)
            if not play.passed:
                rebuild()
                warm = False
            proven = False
            continue
        if not plays and suspicion(play, place, left) is None:
            return Verdict(plays=1)
        trusted = proven
        if trusted:
            plays.append(play)
            decided = _decided(place, plays, left)
            if decided is not None:
                return decided
        again = plain()
        if not again.passed:
            rebuild()
            again = _passing(plain, rebuild)
            if not again.passed:
                return Verdict(plays=len(plays), reason=_no_more(again))
        else:
            if not trusted:
                plays.append(play)  # the test still passes, so it has begun where it could pass
            left = _most(left, again.grown)
        proven = True
        if plays and all(suspicion(one, place, left) is None for one in plays):
            return Verdict(plays=len(plays))


def _passing(plain: Callable[[], Play], rebuild: Callable[[], None]) -> Play:
    """The test as it is, with new fixtures if it does not pass with those that are there."""
    play = plain()
    if not play.passed:
        rebuild()
        play = plain()
    return play


def _decided(place: Place, plays: Sequence[Play], left: Remains) -> Verdict | None:
    """What the plays that count show; None while more are needed."""
    found = [suspicion(play, place, left) for play in plays]
    kinds = Counter(one.kind for one in found if one is not None)
    if not kinds:
        return Verdict(plays=len(plays))
    if set(kinds) == {"leak"} and None in found:  # what is left in some plays only is no leak
        return Verdict(plays=len(plays))
    kind, times = kinds.most_common(1)[0]
    last = found[-1]
    if last is not None and last.kind == kind and surely(kind, times, len(plays)):
        return Verdict(last, times, len(plays))
    if len(plays) < _MOST_PLAYS:
        return None
    return Verdict(plays=len(plays), reason=f"{kind}, but only in {times} of {counted(len(plays), 'play')}")


def _most(one: Remains, other: Remains) -> Remains:
    return Remains(
        one.threads if len(one.threads) >= len(other.threads) else other.threads,
        max(one.sockets, other.sockets),
        max(one.descriptors, other.descriptors),
        max(one.tasks, other.tasks),
    )


def _no_more(play: Play) -> str:
    said = "it did not end" if play.hung else play.error.type if play.error else play.skipped or play.excused
    return f"it does not pass as it is any more: {said}"
