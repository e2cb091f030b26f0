"""Plays a test once, with or without a fault, and says as data how it went.

The hooks of pytest are called as for any test, so that fixtures and other plugins do what they always do; nothing is
reported. Fixtures of wider scopes stay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_netfault.plugin.storm.items import sibling_of
from pytest_netfault.storm.arming import Arming, reset_all
from pytest_netfault.storm.errors import Allowed, error_of
from pytest_netfault.storm.play import NOTHING, Error, Play, Remains
from pytest_netfault.storm.remains import growth, remains
from pytest_netfault.storm.watchdog import Watchdog

__all__ = ["Played", "Player", "tear_down_all"]

Phase = Literal["setup", "call", "teardown"]
# A machine that stood still for longer may have made time limits of the test run out.
_PAUSE_SECONDS = 0.5
# What pytest-rerunfailures counts on an item: while a test is played here, nobody runs it again.
_COUNTED_BY_RERUNS = "execution_count"


@dataclass(frozen=True)
class Played:
    """A play, and what is shown of it.

    Attributes:
        play: as data.
        text: what it raised, as pytest shows it.
        sections: what was captured, by name.
    """

    play: Play
    text: str = ""
    sections: tuple[tuple[str, str], ...] = ()


@dataclass
class _Course:
    """How a play has gone so far."""

    error: Error | None = None
    text: str = ""
    skipped: str = ""
    excused: str = ""
    seconds: float = 0.0


class Player:
    """Plays tests, one at a time.

    Attributes:
        playing: whether one is played now.
        parts_reported: how many reports tests have made by themselves while they were played.
    """

    def __init__(self) -> None:
        self.playing = False
        self.parts_reported = 0
        self._arming: Arming | None = None

    def heal(self) -> None:
        """The function of the test has ended: the faults of the play go. Idempotent."""
        if self._arming is not None:
            self._arming.heal()

    def play(
        self,
        item: Any,
        allowed: Allowed,
        *,
        limit: float,
        arming: Arming | None = None,
        usual: Remains | None = None,
    ) -> Played:
        """Play a test once.

        Args:
            item: of the test.
            allowed: which errors are no finding.
            limit: how long each phase may take, in seconds.
            arming: the faults, in force during the call phase.
            usual: what a play of this test always leaves; None if what it leaves does not matter.
        """
        properties, sections = list(item.user_properties), len(item._report_sections)
        attempts = vars(item).pop(_COUNTED_BY_RERUNS, None)
        before = remains() if usual is not None else NOTHING
        watchdog = Watchdog(limit, self._release, Path(item.path))
        self._arming, self.playing = arming, True
        try:
            course = self._phases(item, allowed, watchdog)
        finally:
            self.heal()
            self._arming, self.playing = None, False
            captured = tuple(
                (f"Captured {name} {when}", text) for when, name, text in item._report_sections[sections:]
            )
            del item._report_sections[sections:]
            item.user_properties[:] = properties
            if attempts is not None:
                setattr(item, _COUNTED_BY_RERUNS, attempts)
            _forget(item)
        error = course.error
        excused = course.excused
        if not excused and watchdog.pause > _PAUSE_SECONDS and (error is not None or watchdog.hung):
            excused = f"the machine stood still for {watchdog.pause:.1f} s"
        ended_well = not watchdog.hung and not course.skipped and (error is None or error.allowed)
        play = Play(
            seconds=course.seconds,
            struck=arming is not None and arming.traffic.struck is not None,
            error=error,
            skipped=course.skipped,
            hung=watchdog.hung,
            hung_line=watchdog.line,
            grown=growth(before, usual) if ended_well and usual is not None else NOTHING,
            excused=excused,
        )
        return Played(play, course.text, captured)

    def _phases(self, item: Any, allowed: Allowed, watchdog: Watchdog) -> _Course:
        if hasattr(item, "_request") and not item._request:
            item._initrequest()
        course = _Course()

        def phase(when: Phase, hook: Callable[..., object], **arguments: Any) -> bool:
            def run() -> None:
                with watchdog.watching():
                    hook(item=item, **arguments)

            call = pytest.CallInfo.from_call(
                run, when=when, reraise=(KeyboardInterrupt, pytest.exit.Exception)
            )
            # Fixtures and other plugins ask the item how it went, which they note when its report is made.
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            if call.excinfo is None:
                return True
            raised = call.excinfo.value
            if isinstance(raised, pytest.skip.Exception):
                course.skipped = course.skipped or str(raised) or "without a reason"
                return False
            if course.error is None or course.error.allowed:
                course.error = error_of(raised, item.path, allowed, when)
                course.text = report.longreprtext or f"{course.error.type}: {course.error.message}"
            return False

        if phase("setup", item.ihook.pytest_runtest_setup):
            if self._arming is not None:
                self._arming.arm()
            phase("call", item.ihook.pytest_runtest_call)
            course.seconds = watchdog.seconds
            self.heal()
        elif not course.skipped:
            course.excused = "its set-up failed"
        phase("teardown", item.ihook.pytest_runtest_teardown, nextitem=sibling_of(item))
        return course

    def _release(self) -> None:
        self.heal()
        reset_all()


def _forget(item: Any) -> None:
    """Let go of what a play has made, as pytest does after a test."""
    if hasattr(item, "_request"):
        item._request = False
        item.funcargs = None
    vars(item).pop("_excinfo", None)
    if getattr(item, "_instance", None) is not None:  # the next play gets an instance of its class of its own
        del item._instance
        item._obj = None
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


def tear_down_all(session: pytest.Session, nextitem: pytest.Item | None = None) -> str:
    """Tear down all fixtures that the next item does not need; returns what went wrong."""
    try:
        session._setupstate.teardown_exact(nextitem)
    except (Exception, pytest.fail.Exception) as error:  # of a fixture of the suite
        return f"{type(error).__name__}: {error}"
    return ""
