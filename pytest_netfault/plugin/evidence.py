"""What a test leaves behind: the section in its failure, and with ``--netfault-output`` a folder of files.

A file that cannot be written is reported, and hides no failure. Without Jinja2 there is no page, and the text says the
same.
"""

from __future__ import annotations

import json
import linecache
import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_netfault.common.printable import printable
from pytest_netfault.common.surroundings import versions, wall_clock
from pytest_netfault.events import LinkWarning
from pytest_netfault.plugin.network import AppliedFault, seen
from pytest_netfault.proof.announce import proof_story
from pytest_netfault.report.folder import folder_name, remove_files, write_folder
from pytest_netfault.report.network_story import LinkStory, NetworkStory
from pytest_netfault.report.terminal import failure_text, rerun_command
from pytest_netfault.report.timeline_links import link_picture
from pytest_netfault.report.timeline_text import drawn

if TYPE_CHECKING:
    import pytest

    from pytest_netfault.control import Link, NetFault
    from pytest_netfault.plugin.logs import LogKeeper
    from pytest_netfault.plugin.network import Network
    from pytest_netfault.plugin.options import Settings
    from pytest_netfault.plugin.record import RunningTest
    from pytest_netfault.plugin.shared_servers import SharedServers
    from pytest_netfault.report.timeline import Timeline

__all__ = ["Evidence", "failing_line"]

_PAGE = "report.html"


class Evidence:
    """Shows and writes what is known of a test.

    Args:
        config: of the session.
        settings: of the session.
        network: the links that are open.
        servers: those that tests share.
        logs: what the test that runs has logged.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        network: Network,
        servers: SharedServers,
        logs: LogKeeper,
    ) -> None:
        self._config = config
        self._settings = settings
        self._network = network
        self._servers = servers
        self._logs = logs

    def folder(self, test: RunningTest | None) -> Path | None:
        """Where the files of a test go, or of what runs outside of any; None for nowhere."""
        if self._settings.output is None or self._settings.artifacts == "off":
            return None
        name = "session" if test is None else folder_name(test.nodeid, test.attempt)
        return self._settings.output / name

    def keep_stories(self, test: RunningTest, net: NetFault) -> None:
        """Before a NetFault closes: keep what its links have seen, and not the links: they hold large buffers."""
        kept = [self._story(entry, test) if entry in net.links else entry for entry in test.recent]
        test.recent = deque(kept, maxlen=test.recent.maxlen)

    def of_failure(
        self,
        test: RunningTest,
        left: Sequence[AppliedFault],
        wrong: str,
        error: pytest.ExceptionInfo[BaseException] | None = None,
        command: str = "",
    ) -> str:
        """The section of a test that fails, also written to its folder; empty if it has done nothing to the network.

        Args:
            test: which.
            left: the faults that tests which are over have left in force.
            wrong: what the test said when it failed.
            error: what it raised.
            command: what repeats it, if that is not the test run by itself.
        """
        links = self._stories(test, left)
        if not (links or test.crash or test.verdicts or left):
            return ""
        folder = self.folder(test)
        story = self._network_story(test, links, f"{test.nodeid} failed", wrong, error, command)
        picture = _picture_of(story)
        page = _page_of(picture) if folder is not None else ""
        text = failure_text(
            seed=self._settings.seed,
            command=story.command,
            links=links,
            left=[_left_by(applied) for applied in left if applied.owner != test.nodeid],
            since=test.began,
            attempt=test.attempt,
            crash=test.crash,
            folder="" if folder is None else str(folder),
            proofs=[proof_story(verdict) for verdict in test.verdicts if verdict.verdict != "kept"],
            drawing=_drawing_of(picture),
            page=str(folder / _PAGE) if folder is not None and page else "",
        )
        if folder is not None:
            try:
                self._write(test, folder, story, page, {"failure.txt": text + "\n"})
            except OSError as error:
                return f"{text}\n... or not: {printable(str(error))}"  # a full disk must not hide why the test failed
        return text

    def of_interrupt(self, test: RunningTest, left: Sequence[AppliedFault]) -> str:
        """Write what is known of a test that Ctrl-C has interrupted; return the sentence that says where."""
        folder = self.folder(test)
        if folder is None:
            return ""
        links = self._stories(test, left)
        story = self._network_story(test, links, f"{test.nodeid} was interrupted", "interrupted (Ctrl-C)")
        page = _page_of(_picture_of(story))
        try:
            if page:
                self._write(test, folder, story, page)
        except OSError as error:
            return f"netfault: what had happened by then was not written: {error}"
        return f"netfault: interrupted; what had happened by then is in {folder}" if folder.is_dir() else ""

    def settle(self, test: RunningTest, left: Sequence[AppliedFault]) -> None:
        """A test has passed and is torn down: keep its files or not, as ``--netfault-artifacts`` says."""
        folder = self.folder(test)
        if folder is None:
            return
        if self._settings.artifacts == "on":
            if test.links or test.faults or test.verdicts:
                links = self._stories(test, left)
                story = self._network_story(test, links, f"{test.nodeid} passed", "")
                try:
                    self._write(test, folder, story, _page_of(_picture_of(story)))
                except OSError as error:
                    test.item.warn(LinkWarning(f"the files of a test were not written: {error}"))
            return
        for verdict in test.verdicts:  # of a loss that the test expected
            remove_files(folder, verdict.files)
        if not folder.exists():
            test.artifact = ""

    # -- what its links did -------------------------------------------------------------------------------

    def _stories(self, test: RunningTest, left: Sequence[AppliedFault]) -> list[LinkStory]:
        """The links that a test has used: those it opened, and those of others that something happened on."""
        others = [link for link in self._network.links if link not in test.recent]
        broken = [applied.link for applied in left]
        used = [story for link in others if (story := self._story(link, test)).events or link in broken]
        return used + [self._story(entry, test) for entry in test.recent]

    def _story(self, link: Link | LinkStory, test: RunningTest) -> LinkStory:
        if isinstance(link, LinkStory):
            return link
        now = seen(link)
        # In force until the call phase had ended, or still.
        in_force = [*test.healed, *self._network.in_force()]
        return LinkStory(
            name=link.name,
            address=link.address,
            upstream=link.upstream,
            bytes_up=now.bytes_up,
            bytes_down=now.bytes_down,
            in_force=tuple(applied.active.fault for applied in in_force if applied.link is link),
            events=tuple(event for event in now.events if event.time >= test.began),
        )

    def _network_story(
        self,
        test: RunningTest,
        links: Sequence[LinkStory],
        headline: str,
        wrong: str,
        error: pytest.ExceptionInfo[BaseException] | None = None,
        command: str = "",
    ) -> NetworkStory:
        """What the links of a test did until now, with the command that runs it again where pytest was started."""
        path, colons, rest = test.nodeid.partition("::")
        started_in = self._config.invocation_params.dir
        here = os.path.relpath(self._config.rootpath / path, started_in)
        failed_at, source = ("", "") if error is None else failing_line(error, test.item.path, started_in)
        return NetworkStory(
            nodeid=test.nodeid,
            seed=self._settings.seed,
            headline=headline,
            wrong=wrong,
            command=command or rerun_command(here + colons + rest, self._settings.seed),
            began=test.began,
            ended=time.monotonic(),
            links=tuple(links),
            failed_at=failed_at,
            source=source,
            facts=(
                *(("server", words) for words in self._servers.described(test.item)),
                *(("link", f"{link.name}: {link.address} to {link.upstream}") for link in links),
                ("started", wall_clock(test.began)),
                ("versions", versions("pytest", "trio")),
            ),
            log=self._logs.lines,
        )

    def _write(
        self,
        test: RunningTest,
        folder: Path,
        story: NetworkStory,
        page: str,
        texts: dict[str, str] | None = None,
    ) -> None:
        """Write the files of a test.

        Raises:
            OSError: they cannot be written.
        """
        events = json.dumps(story.to_json(), indent=1) + "\n"
        pages = {_PAGE: page} if page else {}
        files = {**(texts or {}), **pages, "events.json": events, **self._servers.last_words()}
        write_folder(folder.parent, folder.name, files)
        test.artifact = str(folder)


def failing_line(error: pytest.ExceptionInfo[BaseException], test: Path, started_in: Path) -> tuple[str, str]:
    """The line of a test that has failed, as ``file:line``, and its text; of a helper's if none is the test's own."""
    entries = list(error.traceback)
    if not entries:
        return "", ""
    own = [entry for entry in entries if Path(entry.path) == test]
    entry = (own or entries)[-1]
    path, line = str(entry.path), entry.lineno + 1
    below = os.path.relpath(path, started_in)
    place = path if below.startswith(os.pardir) else below
    return f"{place}:{line}", linecache.getline(path, line).strip()


def _picture_of(story: NetworkStory) -> Timeline | None:
    """The picture of a test, if anything happened on its links."""
    return link_picture(story) if any(link.events for link in story.links) else None


def _page_of(picture: Timeline | None) -> str:
    """The picture as a page; empty if there is none, or nothing to draw it with."""
    if picture is None:
        return ""
    from pytest_netfault.report.html import ReportNotPossible, render

    try:
        return render(picture)
    except ReportNotPossible:
        return ""


def _drawing_of(picture: Timeline | None) -> str:
    """The picture in plain characters, if a fault is in it: without one the events say all there is."""
    if picture is None or not any(lane.kind == "faults" for lane in picture.lanes):
        return ""
    return drawn(picture)


def _left_by(applied: AppliedFault) -> str:
    link = applied.link
    return f"{applied.active.fault!r} is in force on {link.name} ({link.address}): {applied.owner} has left it so"
