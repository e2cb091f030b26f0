"""The hooks of a storm: after the collection tests are learned and their items made, and those items are played."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_netfault.common.printable import printable
from pytest_netfault.common.wording import counted
from pytest_netfault.control.registry import name_frames
from pytest_netfault.plugin.fixtures import SESSION
from pytest_netfault.plugin.options import Settings
from pytest_netfault.plugin.storm.asked import Asked, asked_of
from pytest_netfault.plugin.storm.collecting import Wanted, only_looks, selected
from pytest_netfault.plugin.storm.items import Errand, Sibling, StormItem, sibling_in
from pytest_netfault.plugin.storm.judging import Judge, Outcome
from pytest_netfault.plugin.storm.learning import Learned, learn, learn_together
from pytest_netfault.plugin.storm.plays import Player, tear_down_all
from pytest_netfault.plugin.storm.results import ATTRIBUTE, Result
from pytest_netfault.storm.arming import Arming
from pytest_netfault.storm.baseline import Baseline, read_baseline
from pytest_netfault.storm.places import Place
from pytest_netfault.storm.plan import plan
from pytest_netfault.storm.profile import Profile
from pytest_netfault.storm.traffic import Traffic

__all__ = ["Storm"]

_PHASES: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")


class Storm:
    """The plugin of a session with ``--netfault-storm``; also in the workers of pytest-xdist.

    Args:
        config: of the session.
        settings: of the session.
        shared: where workers share what they learn; None without workers.

    Attributes:
        judge: of the items, which knows what was learned.
    """

    def __init__(self, config: pytest.Config, settings: Settings, shared: Path | None) -> None:
        self._config = config
        self._settings = settings
        self._shared = shared
        self._player = Player()
        self._wanted = Wanted(config)
        self._baseline = self._read_baseline()
        self.judge = Judge(config, settings, self._baseline, self._player)
        name_frames(True)

    @property
    def playing(self) -> bool:
        """Whether a test is being played, so that nothing of it is reported."""
        return self._player.playing

    def heal(self) -> None:
        """The function of a test has ended."""
        self._player.heal()

    def _read_baseline(self) -> Baseline:
        if self._settings.storm_baseline is None:
            return Baseline()
        try:
            return read_baseline(self._settings.storm_baseline)
        except ValueError as error:
            raise pytest.UsageError(f"--netfault-storm-baseline: {error}") from None

    # -- the collection -----------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        self._wanted.read()

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        collected = list(items)
        result = yield
        if not only_looks(session):
            chosen = self._wanted.choose(items, collected)
            made = self._make(session, chosen)
            terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            if hasattr(terminal, "_numcollected"):  # what -k leaves out of them is counted as deselected
                terminal._numcollected += len(made)
            items += selected(session, made)
        return result

    def _make(
        self, session: pytest.Session, chosen: Sequence[tuple[pytest.Item, list[Place] | None]]
    ) -> list[StormItem]:
        asked = {item: asked_of(item, self._settings) for item, _places in chosen}
        tests = [item for item, places in chosen if places is not None or asked[item].places]
        self._say(f"learning {counted(len(tests), 'test')}")
        self.judge.learned = learn_together(tests, lambda item: self._learn(session, item), self._shared)
        tear_down_all(session, sibling_in(session))
        made = []
        for item, places in chosen:
            if item.nodeid not in self.judge.learned:
                self.judge.learned[item.nodeid] = Learned(reason="places=0")
                continue
            profile = self.judge.learned[item.nodeid].profile
            if places is not None:
                made += [StormItem.at(item, place) for place in dict.fromkeys(places)]
            elif profile is not None:
                made += [StormItem.at(item, place) for place in self._plan(item, profile, asked[item])]
        return made

    def _say(self, sentence: str) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._config.get_verbosity() >= 0:
            terminal.ensure_newline()
            terminal.write_line(printable(f"netfault storm: {sentence}"))

    def _plan(self, item: pytest.Item, profile: Profile, asked: Asked) -> list[Place]:
        planned = plan(profile, asked.places, f"{self._settings.seed} {item.nodeid}")
        known = [place for place in self._baseline.places_of(item.nodeid) if profile.at(place) is not None]
        return list(dict.fromkeys([*planned, *known]))

    def _learn(self, session: pytest.Session, item: pytest.Item) -> Learned:
        found: list[Learned] = []

        def do() -> None:
            found.append(learn(item, self._player, self._arming, self._faults))

        wrong = tear_down_all(session, item)
        if wrong:
            return Learned(reason=f"a fixture before it failed while it was torn down ({wrong})")
        errand = Errand.with_test(item, do)
        item.ihook.pytest_runtest_protocol(item=errand, nextitem=errand)
        return found[0] if found else Learned(reason="another plugin has run it")

    def _faults(self) -> int:
        session = self._config.stash.get(SESSION, None)
        return session.totals.faults if session is not None else 0

    def _arming(self, traffic: Traffic) -> Arming:
        return Arming(traffic)

    # -- the plays ----------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        if isinstance(item, Errand):
            item.do()
            return True
        if not isinstance(item, StormItem):
            self.judge.warm = ""
            return None
        self._report(item, nextitem)
        return True

    def _report(self, item: StormItem, nextitem: pytest.Item | None) -> None:
        outcome = Outcome(Result(item.original.nodeid, str(item.place)))
        did: dict[str, Callable[[], None]] = {
            "setup": lambda: None,
            "call": lambda: self.judge.play(item, outcome),
            "teardown": lambda: self._tear_down(item, nextitem),
        }
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for phase in _PHASES:
            call = pytest.CallInfo.from_call(
                did[phase], when=phase, reraise=(KeyboardInterrupt, pytest.exit.Exception)
            )
            report = hook.pytest_runtest_makereport(item=item, call=call)
            if phase == "call":
                setattr(report, ATTRIBUTE, outcome.result.to_json())
                report.sections += outcome.sections
                if outcome.result.reason:  # at the test, and not at the line here that skips it
                    path, line, _name = item.reportinfo()
                    report.longrepr = (str(path), (line or 0) + 1, f"Skipped: {outcome.result.reason}")
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _tear_down(self, item: StormItem, nextitem: pytest.Item | None) -> None:
        """Keep the fixtures for another item of a storm; a test that is run as it is gets new ones."""
        session = item.session
        stops = bool(session.shouldfail or session.shouldstop)
        storm_goes_on = isinstance(nextitem, StormItem) and not stops
        wrong = tear_down_all(session, nextitem if storm_goes_on else None)
        if wrong:  # perhaps because of what a fault has left, which is no mistake of the next test
            item.add_report_section("teardown", "stdout", f"a fixture failed while it was torn down: {wrong}")
        if not storm_goes_on:
            self.judge.warm = ""

    # -- beside other plugins -----------------------------------------------------------------------------

    def pytest_runtest_logreport(self) -> None:
        """A test that is being played reports a part of itself."""
        if self._player.playing:
            self._player.parts_reported += 1

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item) -> object:
        """pytest-timeout's limit is for a test that runs once; each play has a limit of its own."""
        return True if self._player.playing or isinstance(item, (StormItem, Sibling)) else None

    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["netfault_storm"] = self.left_out()

    def left_out(self) -> dict[str, str]:
        """The tests that use a link and are not played, with the reason."""
        return {nodeid: one.reason for nodeid, one in self.judge.learned.items() if one.reason}

    def pytest_unconfigure(self) -> None:
        name_frames(False)
