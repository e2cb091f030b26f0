"""What one pytest session does with the network: its proxy thread, its etcd, and the record of each test.

Made by the plugin when a fixture is first used. A session owns one thread, on which all links live; NetFaults, the
oldest first; and perhaps an etcd. They are released in reverse order, and releasing twice is fine.

Rules of this file: one test runs at a time, and what happens is counted for the one that runs. Nothing grows with
the number of inputs that a property-based test tries: links that are closed are kept for its report only as long as
they are among the last few.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_netfault.common.printable import printable
from pytest_netfault.control import ProxyThread
from pytest_netfault.events import LinkWarning
from pytest_netfault.plugin.failure_report import PAGE, drawing_of, page_of, proof_story
from pytest_netfault.plugin.observed import (
    ClusterNetFault,
    Holding,
    WatchedLink,
    WatchedNetFault,
    crash_error,
)
from pytest_netfault.plugin.progress import Live
from pytest_netfault.plugin.record import LINKS_KEPT, RunningTest, Tally
from pytest_netfault.plugin.shared_servers import SharedCluster, SharedEtcd
from pytest_netfault.report.folder import folder_name, remove_files, write_folder
from pytest_netfault.report.network_story import LinkStory, NetworkStory
from pytest_netfault.report.terminal import Totals, failure_text, rerun_command
from pytest_netfault.report.timeline_links import link_picture

if TYPE_CHECKING:
    from pytest_netfault.control import ActiveFault
    from pytest_netfault.faults import Fault
    from pytest_netfault.plugin.options import Settings
    from pytest_netfault.proof.host import Verdict
    from pytest_netfault.report.timeline import Timeline

__all__ = ["NetFaultSession"]


class NetFaultSession:
    """The network of one pytest session.

    Args:
        config: of the session.
        settings: what it was asked for.
        setting_up: the scopes of the fixtures that are being set up now, the innermost last.
    """

    def __init__(self, config: pytest.Config, settings: Settings, setting_up: Sequence[str]) -> None:
        self.config = config
        self._setting_up = setting_up
        self._left: list[Holding] = []
        self._missing: dict[str, str] = {}  # the fixtures that this machine cannot provide, and why
        self.settings = settings
        self.totals = Totals()
        self._thread: ProxyThread | None = None
        self._nets: list[WatchedNetFault] = []
        self._etcd: SharedEtcd | None = None
        self._cluster: SharedCluster | None = None
        self.live = Live(config)
        self.interrupted = ""
        self._kept = False
        self._test: RunningTest | None = None
        self._known_crash: BaseException | None = None

    # -- what the fixtures give ---------------------------------------------------------------------------

    def open(
        self, seed: int | None = None, *, together: bool = False, of_test: bool = False
    ) -> WatchedNetFault:
        """A new NetFault on the session's thread.

        Args:
            seed: what its random choices are made from; the session's seed if not given.
            together: see :class:`.WatchedNetFault`.
            of_test: the same.

        Raises:
            TypeError: ``seed`` is not a whole number.
        """
        net = WatchedNetFault(
            self.settings.seed if seed is None else seed,
            self._running_thread(),
            self,
            together=together,
            of_test=of_test,
        )
        self._nets.append(net)
        return net

    def open_etcd(self) -> SharedEtcd:
        """Start the session's etcd, or attach to it.

        Raises:
            ServerError: the one that was asked for cannot be used.
            pytest.skip.Exception: there is none on this machine (a failure if strict).
        """
        from pytest_netfault.servers.errors import ServerNotFound
        from pytest_netfault.servers.etcd.find import find_etcd

        server: object | None = self.config.hook.pytest_netfault_etcd(config=self.config)
        missing = ""
        if server is None:
            try:
                server = find_etcd(self.settings.etcd).start()
            except ServerNotFound as error:
                missing = str(error)
        if missing:
            self._do_without(
                "etcd_server", missing
            )  # out here, because a chain of exceptions would say it once for each
        self._etcd = SharedEtcd(server)
        return self._etcd

    def open_cluster(self) -> SharedCluster:
        """Start the session's cluster of three members, whose words to each other cross links on our thread.

        Raises:
            ServerError: the binary that was asked for cannot be used, or a member does not start.
            pytest.skip.Exception: there is no binary to start members of (a failure if strict).
        """
        from pytest_netfault.servers.errors import ServerNotFound
        from pytest_netfault.servers.etcd.cluster import EtcdCluster
        from pytest_netfault.servers.etcd.find import find_binary

        try:
            binary, missing = find_binary(self.settings.etcd), ""
        except ServerNotFound as error:
            binary, missing = Path(), str(error)
        if missing:
            self._do_without("etcd_cluster", missing)
        net = ClusterNetFault(self.settings.seed, self._running_thread(), self, together=True)
        self._nets.append(net)
        try:
            cluster = EtcdCluster(binary, net.forward).start()
        except BaseException:
            net.close()
            raise
        self._cluster = SharedCluster(cluster, net)
        return self._cluster

    def keep(self, failures: int) -> None:
        """Before the first server ends: wait for Ctrl-C, if that was asked for and tests have failed."""
        servers = [
            (repr(etcd), ", ".join(getattr(etcd, "addresses", [etcd.address])))
            for etcd in (self._etcd, self._cluster)
            if etcd is not None
        ]
        if self.settings.keep and failures and not self._kept:
            self._kept = True
            from pytest_netfault.plugin.keep import hold

            hold(self.config, servers)

    def close_etcd(self) -> None:
        """Close the session's etcd. Twice is fine."""
        etcd, self._etcd = self._etcd, None
        if etcd is not None:
            etcd.close()

    def close_cluster(self) -> None:
        """End the members of the session's cluster, and close the links between them. Twice is fine."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()

    def close_links(self) -> None:
        """Close all links, the newest first, and end the thread. Twice is fine.

        Raises:
            RuntimeError: the proxy had crashed, and no test has said so. Everything is closed all the same.
        """
        with contextlib.ExitStack() as undo:
            if self._thread is not None:
                undo.callback(self._thread.close)
            self._thread = None
            for net in self._nets:
                undo.callback(net.close)

    def close(self) -> None:
        """Close everything. Twice is fine; raises as :meth:`close_links` does."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.close_etcd)
            undo.callback(self.close_links)
            undo.callback(self.close_cluster)

    def _running_thread(self) -> ProxyThread:
        if self._thread is None or self._thread.crash is not None:
            self._thread = ProxyThread()
        return self._thread

    def _do_without(self, fixture: str, why: str) -> NoReturn:
        """Skip, because this machine lacks a server; fail, if strict."""
        if self.settings.strict:
            pytest.fail(f"{why} (--netfault-strict: not skipped)", pytrace=False)
        self._missing[fixture] = why
        pytest.skip(why)

    # -- what the links tell ------------------------------------------------------------------------------

    def responsible(self) -> str:
        """See :meth:`.Watcher.responsible`."""
        lasting = bool(self._setting_up) and self._setting_up[-1] != "function"
        return "" if self._test is None or lasting else str(self._test.item.nodeid)

    def opened(self, link: WatchedLink) -> None:
        """Count a link, and tell other plugins."""
        self.totals += Totals(links=1)
        if self._test is not None:
            self._test.links += 1
            self._test.recent.append(link)
        self._hook().pytest_netfault_link(link=link)

    def applied(self, link: WatchedLink, fault: ActiveFault) -> None:
        """Count a fault, and tell other plugins."""
        self.totals += Totals(faults=1)
        if self._test is not None:
            self._test.faults += 1
        self._hook().pytest_netfault_fault(link=link, fault=fault)

    def closing(self, net: WatchedNetFault) -> None:
        """Keep what the links of a NetFault have seen, and not the links: they hold large buffers."""
        test = self._test
        if test is not None:
            kept = [self._story(entry, test) if entry in net.watched else entry for entry in test.recent]
            test.recent = deque(kept, maxlen=LINKS_KEPT)

    def closed(self, net: WatchedNetFault) -> None:
        """Let go of a NetFault; only numbers stay."""
        self._nets.remove(net)
        self._settle(net)

    def crashed(self, crash: BaseException) -> bool:
        """Whether a crash of the proxy is news. Asking makes it known."""
        news = crash is not self._known_crash
        self._known_crash = crash
        return news

    # -- what proofs tell ---------------------------------------------------------------------------------

    def folder(self) -> Path | None:
        """Where the files of the test that runs go; None for nowhere."""
        settings, test = self.settings, self._test
        if settings.output is None or settings.artifacts == "off":
            return None
        name = "session" if test is None else folder_name(str(test.item.nodeid), test.attempt)
        return settings.output / name

    def judged(self, verdict: Verdict) -> None:
        """A proof in the test that runs has ended."""
        self.live.done("" if self._test is None else str(self._test.item.nodeid))
        self.totals += Totals(
            kept=verdict.outcome == "kept",
            lost=verdict.outcome == "lost",
            unproved=verdict.outcome == "proved nothing",
            unfinished=verdict.outcome == "unfinished",
            examples=verdict.examples,
            hits=verdict.hits,
        )
        if self._test is not None:
            replaced = self._test.judged(verdict)
            folder = self.folder()
            if folder is not None and replaced:
                remove_files(folder, replaced)

    def _hook(self) -> Any:
        return self.config.hook if self._test is None else self._test.item.ihook

    def _settle(self, net: WatchedNetFault) -> None:
        for outcome in net.settle(self._test.began if self._test is not None else 0.0):
            self.totals += Totals(met=outcome.met)
            if self._test is not None:
                tally = self._test.tallies.setdefault(outcome.key, Tally(outcome))
                tally.last = outcome
                tally.times += 1
                tally.met += outcome.met
                tally.excused += outcome.excused

    # -- the course of a test -----------------------------------------------------------------------------

    def begin(self, item: pytest.Item, began: float) -> None:
        """A test, or another attempt at it, begins."""
        self._test = RunningTest(item, began)
        shared: tuple[tuple[str, SharedEtcd | None], ...] = (
            ("etcd_server", self._etcd),
            ("etcd_cluster", self._cluster),
        )
        for fixture, etcd in shared:
            if etcd is not None:
                etcd.renew()
                if fixture in getattr(item, "fixturenames", ()):
                    etcd.make_ready()

    def heal(self, item: pytest.Item, *, timed_out: bool = False) -> None:
        """The call phase of a test has ended: heal its faults before anything is torn down. Twice is fine.

        Those on links that outlive the test stay; :meth:`end` says which they are.

        Args:
            item: the test.
            timed_out: it is being interrupted where it stands, and must get out: heal all that it has applied.
        """
        test = self._test
        if test is None or test.item is not item:
            return
        nets = list(self._nets)
        for net in nets:
            for holding in net.holding():
                if net.of_test or (timed_out and holding.by):
                    test.healed.append((holding.link, holding.active.fault))
                    with contextlib.suppress(RuntimeError):  # a crash of the proxy is reported elsewhere
                        holding.active.heal()
        if self._cluster is not None and "etcd_cluster" in getattr(item, "fixturenames", ()):
            parted = [
                holding for net in nets if isinstance(net, ClusterNetFault) for holding in net.holding()
            ]
            test.healed += [(holding.link, holding.active.fault) for holding in parted]
            with contextlib.suppress(RuntimeError):
                self._cluster.heal()  # what a test leaves parted is judged with that test, not with the next one

    def returned(self) -> None:
        """The test's function has returned.

        Raises:
            RuntimeError: the proxy has crashed meanwhile.
        """
        crash = self._new_crash()
        if crash is not None:
            raise crash_error(crash) from crash

    def reported(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """A phase of a test has its report: say in a failing one what the network did."""
        test = self._test
        if test is None or test.item is not item:
            return
        if report.when == "call":
            test.passed = report.passed
        if report.when == "setup" and report.skipped:
            names = getattr(item, "fixturenames", ())
            test.without = next((why for name, why in self._missing.items() if name in names), "")
        if not report.failed:
            return
        self._new_crash()  # it is told here; a test that is expected to fail leaves it to the teardown
        links = self._stories(test)
        if links or test.crash or test.verdicts or self._still_left():
            crash = getattr(report.longrepr, "reprcrash", None)
            text = self._failure(test, links, getattr(crash, "message", "") or "it failed")
            report.sections.append(("netfault", text))

    def end(self, item: pytest.Item, failed: bool) -> None:
        """All function-scoped fixtures of a test are gone.

        Args:
            item: the test.
            failed: whether one of them raised, which then says enough.

        Raises:
            RuntimeError: the proxy has crashed, and the test has not said so.
            pytest.fail.Exception: if strict, or if warnings are errors, a fault met nothing.
        """
        test = self._test
        if test is None or test.item is not item:
            return
        test.over = True
        self.live.done()
        self.heal(item)  # what its fixtures have applied since
        for net in self._nets:
            self._settle(net)
        self._settle_artifacts(test, failed)
        item.user_properties.extend(
            (f"netfault.{name}", value) for name, value in test.properties(self.settings.seed)
        )
        leftovers = self._leftovers(item)
        if failed:
            return
        crash = self._new_crash()
        if crash is not None:
            raise crash_error(crash) from crash
        for holding in leftovers:
            self._complain(item, _left_behind(holding), holding.line)
        if test.passed:
            for tally in test.tallies.values():
                if not tally.met and not tally.excused:
                    self._complain(item, _met_nothing(tally), tally.last.line)

    def _leftovers(self, item: pytest.Item) -> list[Holding]:
        """The faults that a test which is over leaves in force on links that outlive it."""
        by = str(item.nodeid)
        mine = [
            holding
            for net in self._nets
            for holding in net.holding()
            if holding.by == by and holding.link.by != by
        ]
        self._left = [*self._still_left(), *mine]
        return mine

    def _still_left(self) -> list[Holding]:
        return [holding for holding in self._left if not holding.active.healed]

    def _complain(self, item: pytest.Item, sentence: str, line: tuple[str, int] | None) -> None:
        """Warn, or fail if strict, at the line that applied the fault, which is not where the test begins."""
        sentence = printable(sentence)
        if line is None:
            file, number = str(item.path), (item.location[1] or 0) + 1
        else:
            file, number = line
        told = f"{printable(os.path.relpath(file, self.config.invocation_params.dir))}:{number}: "
        if not self.settings.strict:
            try:
                warnings.warn_explicit(LinkWarning(sentence), None, file, number)
                return
            except LinkWarning:  # warnings are errors; its traceback would be nothing but lines of ours
                told += "pytest_netfault.LinkWarning: "
        pytest.fail(told + sentence, pytrace=False)

    def _new_crash(self) -> BaseException | None:
        crash = self._thread.crash if self._thread is not None else None
        if crash is None or not self.crashed(crash):
            return None
        if self._test is not None:
            self._test.crash = "".join(traceback.format_exception(crash))
        return crash

    # -- what a failure shows -----------------------------------------------------------------------------

    def _stories(self, test: RunningTest) -> list[LinkStory]:
        """The links that a test has used: those it opened, and those of others that something happened on."""
        older = [link for net in self._nets for link in net.watched if link not in test.recent]
        left = [holding.link for holding in self._still_left()]
        used = [story for link in older if (story := self._story(link, test)).events or link in left]
        return used + [self._story(entry, test) for entry in test.recent]

    def _story(self, link: WatchedLink | LinkStory, test: RunningTest) -> LinkStory:
        if isinstance(link, LinkStory):
            return link
        seen = link.seen()
        return LinkStory(
            name=link.name,
            address=link.address,
            upstream=link.upstream,
            bytes_up=seen.bytes_up,
            bytes_down=seen.bytes_down,
            in_force=tuple(self._in_force(link, test)),
            events=tuple(event for event in seen.events if event.time >= test.began),
        )

    def _in_force(self, link: WatchedLink, test: RunningTest) -> list[Fault]:
        """The faults in force on a link now, and those that were until the test had returned."""
        until = [fault for on, fault in test.healed if on is link]
        return until + [holding.active.fault for holding in link.net.holding() if holding.link is link]

    def _from_here(self, nodeid: str) -> str:
        """The test's name for somebody in the directory where pytest was started."""
        path, colons, rest = nodeid.partition("::")
        here = os.path.relpath(self.config.rootpath / path, self.config.invocation_params.dir)
        return here + colons + rest

    def _failure(self, test: RunningTest, links: list[LinkStory], wrong: str) -> str:
        nodeid = str(test.item.nodeid)
        folder = self.folder()
        story = self._network_story(test, links, f"{nodeid} failed", wrong)
        picture = _picture(story)
        page = page_of(picture) if folder is not None else ""
        text = failure_text(
            seed=self.settings.seed,
            command=story.command,
            links=links,
            left=[_left_so(holding) for holding in self._still_left() if holding.by != nodeid],
            since=test.began,
            attempt=test.attempt,
            crash=test.crash,
            folder="" if folder is None else str(folder),
            proofs=[proof_story(verdict) for verdict in test.verdicts if verdict.outcome != "kept"],
            drawing=drawing_of(picture),
            page=str(folder / PAGE) if folder is not None and page else "",
        )
        if folder is not None:
            try:
                pages = {PAGE: page} if page else {}
                self._write(test, folder, story, {"failure.txt": text + "\n", **pages})
            except OSError as error:
                return f"{text}\n... or not: {printable(str(error))}"  # a full disk must not hide why the test failed
        return text

    def _network_story(
        self, test: RunningTest, links: list[LinkStory], headline: str, wrong: str
    ) -> NetworkStory:
        """What the links of a test did until now."""
        nodeid = str(test.item.nodeid)
        return NetworkStory(
            nodeid=nodeid,
            seed=self.settings.seed,
            headline=headline,
            wrong=wrong,
            command=rerun_command(self._from_here(nodeid), self.settings.seed),
            began=test.began,
            ended=time.monotonic(),
            links=tuple(links),
        )

    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C, while the links are still there: write what is known of the test that runs."""
        test, folder = self._test, self.folder()
        self.live.done()
        if test is None or test.over or folder is None:
            return
        links = self._stories(test)
        story = self._network_story(
            test, links, f"{test.item.nodeid} was interrupted", "interrupted (Ctrl-C)"
        )
        page = page_of(_picture(story))
        try:
            if page:
                self._write(test, folder, story, {PAGE: page})
        except OSError as error:
            self.interrupted = f"netfault: what had happened by then was not written: {error}"
            return
        if folder.is_dir():
            self.interrupted = f"netfault: interrupted; what had happened by then is in {folder}"

    # -- what a test leaves behind ------------------------------------------------------------------------

    def _write(self, test: RunningTest, folder: Path, story: NetworkStory, texts: dict[str, str]) -> None:
        files = {**texts, "events.json": json.dumps(story.to_json(), indent=1) + "\n"}
        for name, etcd in (("etcd.log", self._etcd), ("etcd-cluster.log", self._cluster)):
            if etcd is not None and etcd.last_words():
                files[name] = etcd.last_words() + "\n"
        write_folder(folder.parent, folder.name, files)
        test.artifact = str(folder)

    def _settle_artifacts(self, test: RunningTest, failed: bool) -> None:
        """A test is over: keep its files or not, as ``--netfault-artifacts`` says."""
        folder = self.folder()
        if folder is None or failed or not test.passed:
            return
        if self.settings.artifacts == "on":
            if test.links or test.faults or test.verdicts:
                try:
                    links = self._stories(test)
                    story = self._network_story(test, links, f"{test.item.nodeid} passed", "")
                    page = page_of(_picture(story))
                    self._write(test, folder, story, {PAGE: page} if page else {})
                except OSError as error:
                    test.item.warn(LinkWarning(f"the files of a test were not written: {error}"))
            return
        for (
            verdict
        ) in test.verdicts:  # a loss that the test expected: what we wrote of it is nobody's concern
            remove_files(folder, verdict.files)
        if not folder.exists():
            test.artifact = ""


def _picture(story: NetworkStory) -> Timeline | None:
    """The picture of a test, if anything happened on its links."""
    return link_picture(story) if any(link.events for link in story.links) else None


def _met_nothing(tally: Tally) -> str:
    last = tally.last
    where = f"{last.fault!r} was in force on {last.link}{'' if tally.times == 1 else f' {tally.times} times'}"
    if not last.fault.leaves_trace():
        return (
            f"{where}, and no client has used that link in this test: connect to {last.address}, and not to the "
            "server itself, or leave the fault out"
        )
    return f"{where} and met no traffic: connect through {last.address}, send something while it holds, or leave it out"


def _left_behind(holding: Holding) -> str:
    link = holding.link
    return (
        f"{holding.active.fault!r} is still in force on {link.name} ({link.address}), which the next test may use: "
        "heal it, or apply it in a with block"
    )


def _left_so(holding: Holding) -> str:
    link = holding.link
    return (
        f"{holding.active.fault!r} is in force on {link.name} ({link.address}): {holding.by} has left it so"
    )
