"""What the network did in one test, as data: what ``events.json`` holds, and all that the picture of the test shows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Fault, fault_from_json, fault_to_json
from pytest_netfault.report.timeline_log import LogLine

__all__ = ["LinkStory", "NetworkStory"]


@dataclass(frozen=True)
class LinkStory:
    """What a link did in one test.

    Attributes:
        name: the link's name.
        address: where clients connected.
        upstream: where it forwarded to.
        bytes_up: bytes delivered to the upstream since the link was opened.
        bytes_down: bytes delivered to clients since then.
        in_force: the faults still in force, the oldest first.
        events: what happened during the test, the oldest first.
    """

    name: str
    address: str
    upstream: str
    bytes_up: int
    bytes_down: int
    in_force: tuple[Fault, ...]
    events: tuple[LinkEvent, ...]

    def to_json(self) -> dict[str, Any]:
        """The story as a JSON object of the same names."""
        made = {one.name: getattr(self, one.name) for one in fields(self)}
        made["in_force"] = [fault_to_json(fault, text_ok=True) for fault in self.in_force]
        made["events"] = [event.to_json() for event in self.events]
        return made

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LinkStory:
        """The story that :meth:`to_json` wrote.

        Raises:
            ValueError: it is not one.
        """
        try:
            in_force = tuple(fault_from_json(fault, missing_ok=True) for fault in data["in_force"])
            events = tuple(LinkEvent.from_json(event) for event in data["events"])
            return cls(**{**data, "in_force": in_force, "events": events})
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no story of a link: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class NetworkStory:
    """What the links of a test did, and what became of the test.

    Attributes:
        nodeid: the test.
        seed: what every random choice was made from.
        headline: what became of the test, in one sentence.
        wrong: what it said when it failed; empty if it said nothing.
        command: what runs it again.
        began: when it began, ``time.monotonic()`` in seconds.
        ended: when it was over.
        links: those that it used.
        failed_at: the line of the test that failed, as ``file:line``; empty if none did, or it is not known.
        source: the text of that line.
        facts: when, where and with what it ran, as pairs of a name and a text.
        log: what was logged meanwhile, the oldest first.
    """

    nodeid: str
    seed: int
    headline: str
    wrong: str
    command: str
    began: float
    ended: float
    links: tuple[LinkStory, ...]
    failed_at: str = ""
    source: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    log: tuple[LogLine, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The story as a JSON object of the same names, but for ``records``: in a trace ``log`` is that of a store."""
        made = {one.name: getattr(self, one.name) for one in fields(self)}
        made["links"] = [link.to_json() for link in self.links]
        made["records"] = [line.to_json() for line in made.pop("log")]
        return made

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NetworkStory:
        """The story that :meth:`to_json` wrote.

        Raises:
            ValueError: it is not one.
        """
        try:
            links = tuple(LinkStory.from_json(link) for link in data["links"])
            facts = tuple((name, text) for name, text in data.get("facts", ()))
            log = tuple(LogLine(**line) for line in data.get("records", ()))
            others = {name: value for name, value in data.items() if name != "records"}
            return cls(**{**others, "links": links, "facts": facts, "log": log})
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no story of a test: {type(error).__name__}: {error}") from error
