"""What a scenario plays on: a server, a link to it, an undisturbed writer, and a follower behind the link.

    with Harness(binary, QUICK) as harness:
        harness.follow()
        harness.write()
        with harness.outage(harness.link.sever()):
            harness.write()
        harness.catch_up()

What is opened is closed in reverse order, also after a failure; waits are bounded and wait for events. The clock of a
scenario starts when its fault ends (or begins, where it never ends), and stops when the follower has everything. CPU
time is that of this process, so it includes the proxy and the writer: an upper bound.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime_config import (
    Changes,
    ConfigStore,
    Item,
    Key,
    OutcomeUnknown,
    Resynced,
    Section,
    State,
)
from runtime_config.stored import stored_name

from pytest_netfault import NetFault
from pytest_netfault.servers.etcd import EtcdServer

from .oracle import Epoch, Judgement, judge

ROOT = "/config/scenarios"
SECTION = Section("scenario")
LIMIT = Key("scenario.limit", int)
TEXT = Key("scenario.text", str)
PATIENT = 60.0


@dataclass(frozen=True)
class Timing:
    """Durations in seconds: of outages that are `refused`, of a server that is `stopped`, of a link that is `frozen`,
    of the `watch` over a fault without a length, of an `idle` store. `dead_after` is the follower's."""

    refused: float
    stopped: float
    frozen: float
    watch: float
    idle: float
    dead_after: float


#: As they occur in production, with the wrapper's defaults; and short, for every run of the tests.
REAL = Timing(refused=3.0, stopped=20.0, frozen=25.0, watch=3.0, idle=60.0, dead_after=20.0)
QUICK = Timing(refused=0.3, stopped=0.8, frozen=0.8, watch=0.0, idle=1.5, dead_after=1.0)


class Follower:
    """A subscriber that keeps everything that was delivered to it."""

    def __init__(self, store: ConfigStore, timeout: float | None = None) -> None:
        self.store = store
        self.items: list[Item] = []
        self._free = threading.Event()
        self._free.set()
        self._news = threading.Condition()
        store.on_change(SECTION, self._take, timeout=timeout)

    def _take(self, item: Item) -> None:
        self._free.wait(PATIENT)
        with self._news:
            self.items.append(item)
            self._news.notify_all()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The callback does not return while the block runs."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def wait(self, what: str, true: Callable[[list[Item]], bool]) -> None:
        with self._news:
            assert self._news.wait_for(lambda: true(self.items), PATIENT), (
                f"{what} did not come within {PATIENT:g} s; {self.store!r}, {self.store.last_error!r}, "
                f"the last items are {self.items[-2:]!r:.500}"
            )

    def wait_for(self, revision: int) -> None:
        self.wait(f"revision {revision}", lambda items: bool(items) and items[-1].revision >= revision)

    def wait_for_resync(self) -> None:
        self.wait("a resync", lambda items: any(isinstance(item, Resynced) for item in items))

    def delivered(self) -> list[int]:
        with self._news:
            return [item.revision for item in self.items if isinstance(item, Changes)]


@dataclass
class Measured:
    """`recovery`: seconds from the end of the fault until everything was there. `cpu`: share of a core meanwhile."""

    recovery: float = 0.0
    cpu: float = 0.0


@dataclass
class Harness:
    """Opened with the path of an etcd; `with` closes whatever a scenario opens through it."""

    binary: str
    timing: Timing
    measured: Measured = field(default_factory=Measured)
    records: list[dict[int, dict[str, Any]]] = field(default_factory=lambda: [{}])
    options: dict[str, Any] = field(default_factory=dict)
    log_ends: bool = False
    note: str = ""

    # Opening

    def __enter__(self) -> Harness:
        self._stack = ExitStack()
        self._numbers = iter(range(1, 10**9))
        self.net = self._stack.enter_context(NetFault(seed=1))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def opened(self, context: Any) -> Any:
        """Enter a context that ends with the harness."""
        return self._stack.enter_context(context)

    def folder(self) -> Path:
        return Path(self.opened(tempfile.TemporaryDirectory(prefix="scenario-")))

    def serve(self, *flags: str) -> None:
        """A server of our own, the link to it, and the writer."""
        self.server = self.opened(EtcdServer(self.binary, flags=flags))
        self.link = self.net.forward(self.server.address)

    def serve_and_follow(self, *flags: str) -> None:
        """How most scenarios begin: all of it, and one change that has been delivered."""
        self.serve(*flags)
        self.follow()
        self.follower.wait_for(self.write())

    def store(self, endpoints: str | list[str], **options: Any) -> ConfigStore:
        options = {"root": ROOT, "timeout": PATIENT, **self.options, **options}
        store: ConfigStore = self.opened(ConfigStore(endpoints, **options))
        return store

    def follow(
        self,
        endpoints: list[str] | None = None,
        writing: list[str] | None = None,
        dead_after: float | None = None,
    ) -> None:
        """The writer, and the follower behind the link, which has its first snapshot on return."""
        self.writer = self.store(writing or self.server.address)
        store = self.store(endpoints or self.link.address, dead_after=dead_after or self.timing.dead_after)
        store.wait_synced(PATIENT)
        self.follower = Follower(store)
        self.follower.wait("a snapshot", bool)

    # Playing

    def write(self, key: Key[Any] = LIMIT, value: Any = None, *, store: ConfigStore | None = None) -> int:
        """One acknowledged write (unknown outcomes are settled, as a careful service does); its revision."""
        value = next(self._numbers) if value is None else value
        store = store or self.writer
        while True:
            try:
                revision: int | None = store.set(key, value).revision
            except OutcomeUnknown as unknown:
                revision = store.settle(unknown)
            if revision is not None:
                self.records[-1][revision] = {key.name: value}
                return revision

    def write_pieces(self) -> int:
        """One transaction of 1 MB, which the server has to send in pieces."""
        pieces = {f"scenario.piece{number}": "y" * 10_000 for number in range(100)}
        with self.writer.transaction() as txn:
            for name, text in pieces.items():
                txn.set(Key(name, str), text)
        assert txn.revision is not None
        self.records[-1][txn.revision] = dict(pieces)
        return txn.revision

    def wait_state(self, wanted: State) -> None:
        reached = threading.Event()
        store = self.follower.store
        with store.on_state(lambda state: reached.set() if state is wanted else None):
            assert store.state is wanted or reached.wait(PATIENT), f"never {wanted.value}: {store!r}"

    def hold(self, seconds: float) -> None:
        """Let time pass while something is broken, and measure what that costs."""
        began, used = time.monotonic(), time.process_time()
        threading.Event().wait(max(seconds, 0.01))
        self.measured.cpu = (time.process_time() - used) / (time.monotonic() - began)

    @contextmanager
    def outage(self, fault: Any, seconds: float | None = None) -> Iterator[None]:
        """A fault that holds while the block runs and then for some seconds more; healing starts the clock."""
        try:
            yield
            self.hold(self.timing.refused if seconds is None else seconds)
        finally:
            self.start_clock()
            fault.heal()

    def start_clock(self) -> None:
        self._began = time.monotonic()

    def stop_clock(self) -> None:
        self.measured.recovery = time.monotonic() - self._began

    def catch_up(self, revision: int | None = None) -> None:
        """Wait until the follower has everything, which stops the clock; then a last write that it must get too."""
        self.follower.wait_for(max(self.records[-1]) if revision is None else revision)
        self.stop_clock()
        self.follower.wait_for(self.write())
        if self.measured.cpu == 0.0:
            self.hold(self.timing.watch)

    # Judging

    def log(self) -> dict[int, dict[str, Any]]:
        """The server's own log of the section, values decoded."""
        out: dict[int, dict[str, Any]] = {}
        for entry in self.server.log(1):
            changes = {}
            for event in entry.events:
                name = stored_name(event.key, ROOT)
                if name is not None and name.startswith("scenario."):
                    raw = None if event.type == "delete" else event.value.decode()
                    changes[name] = int(raw) if raw is not None and name == LIMIT.name else raw
            if changes:
                out[entry.revision] = changes
        return out

    def judge(self) -> Judgement:
        """The oracle's verdict on what was delivered to the follower.

        The ground truth is the server's own log; where that cannot be read to its end (`log_ends`: the server was
        wiped, or requires a password) it is what was acknowledged to its only writer.
        """
        final = self.writer.get_all(SECTION).values
        histories: list[Epoch] = [*self.records] if self.log_ends else [self.log()]
        return judge(list(self.follower.items), histories, final)
