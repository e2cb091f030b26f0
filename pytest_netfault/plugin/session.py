"""One pytest session: it observes links, hosts proofs, and follows the course of each test.

Made by the plugin when a fixture is first used. What it knows is kept by subject: the links that are open
(:mod:`.network`), the servers that tests share (:mod:`.shared_servers`), the record of the running test
(:mod:`.record`), and what a test leaves behind (:mod:`.evidence`). They are released in reverse order.

One test runs at a time, and what happens is counted for that one. Nothing grows with the number of inputs that a
property-based test tries: of closed links only the last few are kept for its report.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_netfault.plugin.evidence import Evidence
from pytest_netfault.plugin.gate import complain_of_fault_left, complain_of_no_traffic
from pytest_netfault.plugin.logs import LogKeeper
from pytest_netfault.plugin.network import AppliedFault, Grouping, Network, ObservedNet
from pytest_netfault.plugin.progress import Live
from pytest_netfault.plugin.record import RunningTest
from pytest_netfault.plugin.shared_servers import SharedServers
from pytest_netfault.proxy.thread import crash_error
from pytest_netfault.report.folder import remove_files
from pytest_netfault.report.terminal import Totals

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_netfault.control import ActiveFault, Link, NetFault
    from pytest_netfault.plugin.options import Settings
    from pytest_netfault.proof.host import ProofVerdict

__all__ = ["NetFaultSession"]


# More than 20 methods, because each is one moment of a session: four of an observer of links, two of a host of proofs,
# six of the course of a test. What they share is which test runs; all else is in the objects that they delegate to.
class NetFaultSession:
    """The network of one pytest session; the observer of every NetFault that a fixture makes.

    Args:
        config: of the session.
        settings: what it was asked for.
        setting_up: the scopes of the fixtures that are being set up now, the innermost last.

    Attributes:
        totals: what was done to the network so far.
        servers: those that tests share.
        live: where the progress of proofs is shown.
        logs: what the test that runs has logged.
        interrupted: after Ctrl-C a sentence that says what was written; else empty.
    """

    def __init__(self, config: pytest.Config, settings: Settings, setting_up: Sequence[str]) -> None:
        self.totals = Totals()
        self.servers = SharedServers(config, settings)
        self.live = Live(config)
        self.interrupted = ""
        self._config = config
        self._settings = settings
        self._setting_up = setting_up
        self._network = Network(self, self._owner)
        self.logs = LogKeeper(config.invocation_params.dir)
        self._evidence = Evidence(config, settings, self._network, self.servers, self.logs)
        self._test: RunningTest | None = None
        self._left: list[AppliedFault] = []

    def open(
        self, seed: int | None = None, *, grouping: Grouping = "alone", of_test: bool = False
    ) -> NetFault:
        """A new NetFault on the session's thread.

        Args:
            seed: what its random choices are made from; the session's seed if not given.
            grouping: see :class:`.ObservedNet`.
            of_test: the same.

        Raises:
            TypeError: ``seed`` is not a whole number.
        """
        seed = self._settings.seed if seed is None else seed
        return self._network.open(seed, grouping=grouping, of_test=of_test).net

    def close_links(self) -> None:
        """Close all links, the newest first, and end the thread; as :meth:`.Network.close`."""
        self._network.close()

    def close(self) -> None:
        """Close everything. Idempotent; raises as :meth:`close_links` does."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._network.close)
            undo.callback(self.servers.close_all)
            undo.callback(self.logs.end)

    # -- the observer of links ----------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """Count a link, and tell other plugins."""
        self.totals += Totals(links=1)
        if self._test is not None:
            self._test.links += 1
            self._test.recent.append(link)
        self._hook().pytest_netfault_link(link=link)

    def applied(self, link: Link, fault: ActiveFault) -> None:
        """Count a fault, and tell other plugins."""
        self.totals += Totals(faults=1)
        if self._test is not None:
            self._test.faults += 1
        self._hook().pytest_netfault_fault(link=link, fault=fault)

    def closing(self, net: NetFault) -> None:
        """Keep for the report what its links have seen."""
        if self._test is not None:
            self._evidence.keep_stories(self._test, net)

    def closed(self, net: NetFault) -> None:
        """Let go of a NetFault; only numbers stay."""
        self._settle(self._network.remove(net))

    def _owner(self) -> str:
        lasting = bool(self._setting_up) and self._setting_up[-1] != "function"
        return "" if self._test is None or lasting else self._test.nodeid

    def _hook(self) -> Any:
        return self._config.hook if self._test is None else self._test.item.ihook

    def _settle(self, net: ObservedNet) -> None:
        for outcome in net.settle(self._test.began if self._test is not None else 0.0):
            self.totals += Totals(faults_that_met_traffic=outcome.met)
            if self._test is not None:
                self._test.settled(outcome)

    # -- the host of proofs -------------------------------------------------------------------------------

    def folder(self) -> Path | None:
        """Where the files of the test that runs go; None for nowhere."""
        return self._evidence.folder(self._test)

    def judged(self, verdict: ProofVerdict) -> None:
        """A proof in the test that runs has ended."""
        self.live.done("" if self._test is None else self._test.nodeid)
        self.totals += Totals.of_proof(
            verdict.verdict,
            examples=verdict.examples,
            faults_that_met_traffic=verdict.faults_that_met_traffic,
        )
        if self._test is not None:
            replaced = self._test.judged(verdict)
            folder = self.folder()
            if folder is not None and replaced:
                remove_files(folder, replaced)

    # -- the course of a test -----------------------------------------------------------------------------

    def begin(self, item: pytest.Item, began: float) -> None:
        """A test, or another attempt at it, begins."""
        self._test = RunningTest(item, began)
        self.logs.begin()
        self.servers.begin(item)

    def heal(self, item: pytest.Item, *, timed_out: bool = False) -> None:
        """The call phase of a test has ended: heal its faults before anything is torn down. Idempotent.

        Those on links that outlive the test stay; :meth:`end` says which they are.

        Args:
            item: the test.
            timed_out: it is being interrupted where it stands, and must get out: heal all that it has applied.
        """
        test = self._running(item)
        if test is None:
            return
        before = self._network.in_force()
        for net in self._network.nets:
            for applied in net.in_force():
                if net.of_test or (timed_out and applied.owner):
                    with contextlib.suppress(RuntimeError):  # a crash of the proxy is reported elsewhere
                        applied.active.heal()
        with contextlib.suppress(RuntimeError):
            self.servers.heal(
                item
            )  # a partition that a test leaves is judged with that test, not with the next one
        test.healed += [applied for applied in before if applied.active.healed]

    def returned(self) -> None:
        """The test's function has returned.

        Raises:
            RuntimeError: the proxy has crashed meanwhile.
        """
        self._raise_crash()

    def reported(
        self,
        item: pytest.Item,
        report: pytest.TestReport,
        error: pytest.ExceptionInfo[BaseException] | None = None,
    ) -> None:
        """A phase of a test has its report: say in a failing one what the network did."""
        test = self._running(item)
        if test is None:
            return
        if report.when == "call":
            test.passed = report.passed
        if report.when == "setup" and report.skipped:
            test.without = self.servers.why_missing(item)
        if report.failed:
            self._note_crash()  # it is shown here; a test that is expected to fail leaves it to the teardown
            crash = getattr(report.longrepr, "reprcrash", None)
            wrong = getattr(crash, "message", "") or "it failed"
            text = self._evidence.of_failure(test, self._still_left(), wrong, error)
            if text:
                report.sections.append(("netfault", text))

    def story_of_storm(self, item: pytest.Item, wrong: str, command: str) -> tuple[str, str]:
        """What the links did in the newest play of a test, told of the item of a storm; also written to its folder.

        Args:
            item: of the storm.
            wrong: what was found.
            command: what repeats it.

        Returns:
            The text and the folder, both empty if there is none.
        """
        if self._test is None:
            return "", ""
        shown = replace(self._test, item=item)
        return self._evidence.of_failure(shown, self._still_left(), wrong, command=command), shown.artifact

    def end(self, item: pytest.Item, failed: bool) -> None:
        """All function-scoped fixtures of a test are gone.

        Args:
            item: the test.
            failed: whether one of them raised, which then says enough.

        Raises:
            RuntimeError: the proxy has crashed, and the test has not said so.
            pytest.fail.Exception: if strict, or if warnings are errors, a fault met nothing, or is left in force.
        """
        test = self._running(item)
        if test is None:
            return
        test.over = True
        self.logs.end()
        self.live.done()
        self.heal(item)  # what its fixtures have applied since
        for net in self._network.nets:
            self._settle(net)
        if test.passed and not failed:
            self._evidence.settle(test, self._still_left())
        item.user_properties.extend(
            (f"netfault.{name}", value) for name, value in test.properties(self._settings.seed)
        )
        left = self._leave(test)
        if failed:
            return
        self._raise_crash()
        for applied in left:
            complain_of_fault_left(item, self._settings, applied)
        if test.passed:
            for group in test.met_nothing():
                complain_of_no_traffic(item, self._settings, group)

    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C, while the links are still there: write what is known of the test that runs."""
        self.live.done()
        if self._test is not None and not self._test.over:
            self.interrupted = self._evidence.of_interrupt(self._test, self._still_left())

    def _running(self, item: pytest.Item) -> RunningTest | None:
        """The record of the running test, if it is this one."""
        return self._test if self._test is not None and self._test.item is item else None

    def _leave(self, test: RunningTest) -> list[AppliedFault]:
        """The faults that a test which is over leaves in force on links that outlive it, remembered for later tests."""
        left = [
            applied
            for net in self._network.nets
            for applied in net.in_force()
            if applied.owner == test.nodeid and net.owners[applied.link] != test.nodeid
        ]
        self._left = [*self._still_left(), *left]
        return left

    def _still_left(self) -> list[AppliedFault]:
        return [applied for applied in self._left if not applied.active.healed]

    def _note_crash(self) -> BaseException | None:
        """A crash of the proxy that is new, noted for the report of the running test."""
        crash = self._network.unreported_crash()
        if crash is not None and self._test is not None:
            self._test.crash = "".join(traceback.format_exception(crash))
        return crash

    def _raise_crash(self) -> None:
        crash = self._note_crash()
        if crash is not None:
            raise crash_error(crash) from crash
