"""A store, a link to it and its clients, all in memory and all in the caller's thread: a run takes a millisecond.

`World` is the server that the runner asks for the truth; `World.link` is breakable; `World.open` opens a client whose
behaviour after an outage can be chosen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Blackhole, Fault, Reset, Sever
from pytest_netfault.proof.clients import Writer
from pytest_netfault.proof.contract import Run, Timeouts
from pytest_netfault.proof.runner import play
from pytest_netfault.schedules import Schedule
from pytest_netfault.store import Delivery, Event, Resync

QUICK = Timeouts(settle=0.3, patience=0.05, impatience=0.02, last_writes=(0.02, 0.05, 0.1))


@dataclass
class ActiveInMemory:
    fault: Fault
    link: Link
    fault_id: int
    met_traffic: bool = True
    healed: bool = False

    def heal(self) -> None:
        self.link.heal()


class Link:
    address = "link"
    connections = ()

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: tuple[LinkEvent, ...] = ()
        self.bytes_up = self.bytes_down = 0
        self.state = "whole"
        self.faults = 0

    def note(self, kind: Any, **more: Any) -> None:
        self.events += (LinkEvent(time.monotonic(), "link", kind, **more),)

    def apply(self, fault: Fault) -> ActiveInMemory:
        with self.world.lock:
            self.faults += 1
            cause: dict[str, Any] = {"fault": fault, "fault_id": self.faults}
            self.note("fault", **cause)
            if isinstance(fault, Sever):
                self.state = "severed"
            elif isinstance(fault, Blackhole):
                self.state = "silent"
            if isinstance(fault, (Sever, Reset)):
                for client in self.world.subscribers:
                    self.note("fin", connection=1, by="netfault", bytes_up=10, bytes_down=20, **cause)
                    client.connected = False
                    client.reconnect()
            return ActiveInMemory(fault, self, self.faults)

    def heal(self) -> None:
        with self.world.lock:
            if self.state == "whole":
                return
            self.note("heal")
            self.state = "whole"
            for client in self.world.subscribers:
                client.reconnect()


class Client:
    """A client in memory; ``after_outage`` is ``"resume"`` at its revision, ``"snapshot"``, ``"now"``, or ``"never"``.

    Among its flaws: ``blind`` (it shows no revisions), ``first`` (a snapshot comes first), ``bookmarks``.
    """

    def __init__(self, world: World, address: str, after_outage: str, **flaws: Any) -> None:
        self.world, self.address, self.after_outage, self.flaws = world, address, after_outage, flaws
        self.next = 0
        self.deliver: Callable[[Delivery], None] = lambda _: None
        self.prefix = ""
        self.closed = self.connected = False
        world.opened.append(self)

    @property
    def reaches(self) -> bool:
        return not self.world.paused and (self.address == "direct" or self.world.link.state == "whole")

    def put(self, key: str, value: str) -> None:
        self.put_many({key: value})

    def delete(self, key: str) -> None:
        self.put_many({key: None})

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        if "write" in self.flaws:
            self.flaws["write"](self, changes)
            return
        if not self.reaches:
            raise ConnectionError("nobody there")
        self.world.commit(changes)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        if "subscribe" in self.flaws:
            self.flaws["subscribe"](self, prefix, deliver)
        with self.world.lock:
            if not self.reaches:
                raise ConnectionError("nobody there")
            self.prefix, self.deliver = prefix, deliver
            self.next = self.world.current + 1
            self.connected = True
            self.world.subscribers.append(self)
            self.world.link.note("accepted", connection=1)
            if self.flaws.get("first"):
                self.snapshot()

    def catch_up(self) -> None:
        if not self.reaches or not self.connected:
            return
        if self.next <= self.world.compacted:
            self.snapshot()
        for revision, changes in self.world.entries:
            if revision >= self.next:
                self.next = revision + 1
                shown = None if self.flaws.get("blind") else revision
                events = tuple(Event(k, v, shown) for k, v in changes if k.startswith(self.prefix))
                if events:
                    self.deliver(Delivery(events=events))
                    if self.flaws.get("bookmarks"):
                        self.deliver(Delivery(bookmark=revision))

    def snapshot(self) -> None:
        self.next = self.world.current + 1
        shown = None if self.flaws.get("blind") else self.world.current
        self.deliver(Delivery(resync=Resync(shown, self.world.state(self.prefix))))

    def reconnect(self) -> None:
        if self.reaches and not self.connected and self.after_outage != "never":
            self.connected = True
            self.world.link.note("accepted", connection=2)
            if self.after_outage == "now":
                self.next = self.world.current + 1
            elif self.after_outage == "snapshot":
                self.snapshot()
        self.catch_up()

    def close(self) -> None:
        if "close" in self.flaws:
            self.flaws["close"](self)
        with self.world.lock:
            self.closed = True
            if self in self.world.subscribers:
                self.world.subscribers.remove(self)


@dataclass
class World:
    address: str = "direct"
    current: int = 1
    compacted: int = 0
    paused: bool = False
    entries: list[tuple[int, list[tuple[str, str | None]]]] = field(default_factory=list)
    subscribers: list[Client] = field(default_factory=list)
    opened: list[Client] = field(default_factory=list)
    restarts: int = 0
    server: Any = None

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.link = Link(self)

    def revision(self) -> int:
        return self.current

    def log(self, after: int) -> list[Any]:
        return [
            SimpleNamespace(
                revision=revision,
                events=[
                    SimpleNamespace(
                        type="delete" if value is None else "put",
                        key=key.encode(),
                        value=None if value is None else value.encode(),
                    )
                    for key, value in changes
                ],
            )
            for revision, changes in self.entries
            if revision > after
        ]

    def state(self, prefix: str) -> dict[str, str]:
        state: dict[str, str] = {}
        for _, changes in self.entries:
            for key, value in changes:
                if value is None:
                    state.pop(key, None)
                elif key.startswith(prefix):
                    state[key] = value
        return state

    def commit(self, changes: Mapping[str, str | None]) -> None:
        with self.lock:
            there = self.state("")
            done = [(key, value) for key, value in changes.items() if value is not None or key in there]
            if done:
                self.current += 1
                self.entries.append((self.current, done))
                for client in self.subscribers:
                    client.catch_up()

    def compact(self) -> int:
        with self.lock:
            self.current += 1
            self.compacted = self.current
            return self.current

    def restart(self) -> None:
        with self.lock:
            self.restarts += 1
            self.paused = False
            for client in self.subscribers:
                client.connected = False
                client.reconnect()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        with self.lock:
            self.paused = False
            for client in self.subscribers:
                client.catch_up()

    def opener(self, after_outage: str = "resume", **flaws: Any) -> Any:
        """An ``open_store`` whose flaws, if any, are those of the client behind the link."""

        def open_store(address: str) -> Client:
            return Client(self, address, after_outage, **(flaws if address == "link" else {}))

        return open_store

    def play(self, schedule: Schedule, open_store: Any = None, **more: Any) -> Run:
        open_store = open_store or self.opener()
        writer = Writer(open_store, self.address)
        try:
            return play(
                schedule,
                open_store=open_store,
                server=self.server or self,
                link=self.link,
                writer=writer,
                namespace="r17",
                **{"timeouts": QUICK, **more},
            )
        finally:
            writer.close(1)
