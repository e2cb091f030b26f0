"""Learns each test as it is; the workers of pytest-xdist share that work, so that all of them plan the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.common.files import write_whole
from pytest_netfault.plugin.storm.plays import Player
from pytest_netfault.storm.arming import Arming
from pytest_netfault.storm.play import Play
from pytest_netfault.storm.profile import Profile, alike, why_not_alike
from pytest_netfault.storm.traffic import Traffic

__all__ = ["Learned", "learn", "learn_together"]

# A test that takes longer than this is nothing to play many times.
_LONGEST_SECONDS = 120.0
# The first play fills pools and caches, so the second may differ from it and the third must not.
_MOST_PLAYS = 3


@dataclass(frozen=True)
class Learned:
    """What is known of a test.

    Attributes:
        profile: what it exchanges; None if it is not played.
        reason: why it is left out; empty if it uses no link.
    """

    profile: Profile | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """For another worker."""
        return {"profile": self.profile.to_json() if self.profile else None, "reason": self.reason}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Learned:
        """What :meth:`to_json` wrote."""
        return cls(Profile.from_json(data["profile"]) if data["profile"] else None, data["reason"])


def learn(
    item: pytest.Item, player: Player, arming: Callable[[Traffic], Arming], faults: Callable[[], int]
) -> Learned:
    """Play a test as it is until two plays exchange the same.

    Args:
        item: of the test.
        player: plays it.
        arming: counts the traffic of the links.
        faults: how many faults tests have applied so far.
    """
    if hasattr(getattr(item, "obj", None), "hypothesis"):
        return Learned(reason="it draws inputs of its own, so no two runs exchange the same")
    if "subtests" in getattr(item, "fixturenames", ()):
        return Learned(reason="it reports its parts by itself (subtests)")
    before: Profile | None = None
    why = ""
    for _ in range(_MOST_PLAYS):
        applied, parts = faults(), player.parts_reported
        traffic = Traffic()
        play = player.play(item, (), limit=_LONGEST_SECONDS, arming=arming(traffic)).play
        profile = traffic.profile(play.seconds)
        if not profile.exchanges:
            return Learned(reason="it exchanges nothing in some runs" if before is not None else "")
        if not play.passed:
            return Learned(reason=_why_not(play, first=before is None))
        if player.parts_reported != parts:
            return Learned(reason="it reports its parts by itself (subtests)")
        if faults() != applied:
            return Learned(reason="it applies faults of its own")
        if before is not None and alike(before, profile):
            # Places of the shorter one are in both.
            shorter = min(profile, before, key=lambda one: len(one.exchanges))
            return Learned(replace(shorter, seconds=max(before.seconds, profile.seconds)))
        why = why_not_alike(before, profile) if before is not None else ""
        before = profile
    return Learned(reason=f"its runs differ: {why}")


def _why_not(play: Play, *, first: bool) -> str:
    if play.skipped:
        return f"it skips itself: {play.skipped}"
    if play.hung:
        return f"it does not end in {_LONGEST_SECONDS:g} s"
    said = f" ({play.error.type})" if play.error is not None else ""
    return f"it fails as it is{said}" if first else f"it fails when it runs a second time{said}"


def learn_together(
    items: Sequence[pytest.Item],
    one: Callable[[pytest.Item], Learned],
    folder: Path | None,
) -> dict[str, Learned]:
    """Learn all tests; with a folder, the workers that share it learn each test once.

    Args:
        items: of the tests.
        one: learns one.
        folder: what the workers share; None without any.
    """
    found: dict[str, Learned] = {}
    waiting = list(items)
    while waiting:
        later = []
        for item in waiting:
            learned = one(item) if folder is None else _shared(item, one, folder)
            if learned is None:
                later.append(item)
            else:
                found[item.nodeid] = learned
        if later and len(later) == len(waiting):
            time.sleep(0.02)  # another process learns them; its result is a file
        waiting = later
    return found


def _shared(item: pytest.Item, one: Callable[[pytest.Item], Learned], folder: Path) -> Learned | None:
    name = hashlib.sha256(item.nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    result, claim = folder / f"{name}.json", folder / f"{name}.claim"
    if result.exists():
        return Learned.from_json(json.loads(result.read_text("utf-8")))
    try:
        handle = os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        _release_of_the_dead(claim)
        return None
    with os.fdopen(handle, "w") as file:
        file.write(str(os.getpid()))
    learned = one(item)
    write_whole(result, json.dumps(learned.to_json()))
    return learned


def _release_of_the_dead(claim: Path) -> None:
    """A worker that has crashed does not learn any more."""
    with contextlib.suppress(OSError, ValueError):
        try:
            os.kill(int(claim.read_text()), 0)
        except ProcessLookupError:
            claim.unlink()
