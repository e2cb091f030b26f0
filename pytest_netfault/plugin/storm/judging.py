"""Judges one item of a storm: plays it until it is known what its place does, and says what was found."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from pytest_netfault.common.printable import printable
from pytest_netfault.plugin.fixtures import SESSION
from pytest_netfault.plugin.options import Settings
from pytest_netfault.plugin.storm.asked import asked_of
from pytest_netfault.plugin.storm.items import Found, StormItem
from pytest_netfault.plugin.storm.learning import Learned
from pytest_netfault.plugin.storm.plays import Played, Player, tear_down_all
from pytest_netfault.plugin.storm.results import Result
from pytest_netfault.storm.arming import Arming
from pytest_netfault.storm.baseline import Baseline
from pytest_netfault.storm.errors import Allowed
from pytest_netfault.storm.examine import Verdict, examine
from pytest_netfault.storm.findings import Finding, command_for
from pytest_netfault.storm.play import NOTHING, Play, Remains
from pytest_netfault.storm.profile import Profile
from pytest_netfault.storm.traffic import Traffic

__all__ = ["Judge", "Outcome"]

# A test that hangs is interrupted late, so a few hangs of one test under one kind of fault are enough.
_HANGS = 2


@dataclass
class Outcome:
    """What an item comes to."""

    result: Result
    sections: list[tuple[str, str]] = field(default_factory=list)

    def leave_out(self, reason: str) -> None:
        """Nothing is known of it.

        Raises:
            pytest.skip.Exception: always.
        """
        self.result = replace(self.result, reason=reason)
        pytest.skip(reason)


class Judge:
    """Judges the items of one process.

    Args:
        config: of the session.
        settings: of the session.
        baseline: what is known.
        player: plays tests.

    Attributes:
        learned: what is known of each test, by its id.
        warm: the test whose fixtures are there; empty if they are gone.
    """

    def __init__(self, config: pytest.Config, settings: Settings, baseline: Baseline, player: Player) -> None:
        self.learned: dict[str, Learned] = {}
        self.warm = ""
        self._config = config
        self._settings = settings
        self._baseline = baseline
        self._player = player
        self._hangs: Counter[tuple[str, str]] = Counter()  # by test and fault
        self._usual: dict[str, Remains] = {}  # what a play of a test as it is leaves

    def play(self, item: StormItem, outcome: Outcome) -> None:
        """Play an item until it is known what its place does.

        Raises:
            Found: something is wrong, and is not known yet.
            pytest.xfail.Exception: it is known.
            pytest.skip.Exception: nothing can be said.
        """
        learned = self.learned[item.original.nodeid]
        if learned.profile is None:
            outcome.leave_out(f"left out: {learned.reason or 'it uses no link'}")
        assert learned.profile is not None
        if self._hangs[item.original.nodeid, item.place.fault] >= _HANGS:
            outcome.leave_out(f"{_HANGS} hangs of this test after {item.place.fault} are found already")
        verdict, last = self._examine(item, learned.profile)
        outcome.result = replace(outcome.result, plays=verdict.plays)
        if verdict.reason:
            outcome.leave_out(verdict.reason)
        finding = None
        if verdict.found is not None:
            finding, story = self._finding(item, learned.profile, verdict)
            outcome.result = replace(outcome.result, finding=finding)
            outcome.sections += [*(last.sections if last is not None else ()), *story]
        self._note(item, verdict, finding)
        if finding is not None and finding.known:
            pytest.xfail(f"known: {finding.kind}, {finding.cause}")
        if finding is not None:
            text = ["", last.text] if last is not None and last.text else []
            raise Found("\n".join([*finding.lines(), f"again: {self._command(item)}", *text]))

    def _note(self, item: StormItem, verdict: Verdict, finding: Finding | None) -> None:
        """What stands beside the item in JUnit files and summaries."""
        said = {
            "seed": str(self._settings.seed),
            "faults": str(verdict.plays),
            "met": str(verdict.plays),
            "storm": finding.kind if finding is not None else "none",
            "reason": printable(finding.detail) if finding is not None else "",
            "artifact": finding.folder if finding is not None else "",
        }
        item.user_properties += [(f"netfault.{name}", value) for name, value in said.items() if value]

    def _examine(self, item: StormItem, profile: Profile) -> tuple[Verdict, Played | None]:
        original, place = item.original, item.place
        asked = asked_of(original, self._settings)
        limit = max(asked.seconds, 10 * profile.seconds)
        exchange = profile.at(place)
        offset = max(1, exchange.size // 2) if exchange is not None else 1
        last: list[Played] = []

        def play(allow: Allowed, arming: Arming | None) -> Played:
            usual = self._usual.get(original.nodeid, NOTHING)
            return self._player.play(original, allow, limit=limit, arming=arming, usual=usual)

        def fault() -> Play:
            last[:] = [play(asked.allow, Arming(Traffic(profile.protocols, place, offset)))]
            return last[0].play

        def plain() -> Play:
            played = play((), None).play
            self._usual[original.nodeid] = played.grown
            return played

        def rebuild() -> None:
            tear_down_all(item.session)

        if self.warm != original.nodeid:
            tear_down_all(item.session, item)
        verdict = examine(place, fault, plain, rebuild, warm=self.warm == original.nodeid)
        self.warm = original.nodeid
        return verdict, last[0] if last else None

    def _finding(
        self, item: StormItem, profile: Profile, verdict: Verdict
    ) -> tuple[Finding, list[tuple[str, str]]]:
        """The finding, and the section of the report that tells what the links did."""
        found = verdict.found
        assert found is not None
        original, place = item.original, item.place
        exchange = profile.at(place)
        story, folder = "", ""
        session = self._config.stash.get(SESSION, None)
        if found.kind == "hang":
            self._hangs[original.nodeid, place.fault] += 1
        if session is not None:
            story, folder = session.story_of_storm(item, f"{found.kind}: {found.detail}", self._command(item))
        finding = Finding(
            kind=found.kind,
            cause=found.cause,
            nodeid=item.nodeid,
            test=original.nodeid,
            place=str(place),
            what=exchange.type if exchange is not None and profile.protocol(place.connection) else "",
            line=found.line,
            detail=found.detail,
            times=verdict.times,
            plays=verdict.plays,
            folder=folder,
        )
        known = self._settings.storm_update or self._baseline.knows(finding.key)
        return replace(finding, known=known), [("netfault", story)] if story else []

    def _command(self, item: StormItem) -> str:
        return command_for(self.near(item.nodeid), self.repeating)

    @property
    def repeating(self) -> list[str]:
        """What a command needs besides the id, so that it plays the same."""
        again = [f"--netfault-seed={self._settings.seed}"]
        for name in ("storm_allow", "storm_seconds"):  # those that decide what is a finding
            value = self._config.getoption(f"netfault_{name}")
            if value is not None:
                again.append(f"--netfault-{name.replace('_', '-')}={value}")
        return again

    def near(self, nodeid: str) -> str:
        """An id for somebody who stands where pytest was started."""
        path, colons, rest = nodeid.partition("::")
        return (
            os.path.relpath(self._config.rootpath / path, self._config.invocation_params.dir) + colons + rest
        )
