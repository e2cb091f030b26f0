"""What all plays of a proof share: the server, the direct writer, and the name spaces.

* A :class:`Bench` is a context manager; it owns the direct writer and the thread on which links live. Each play gets
  a ``NetFault`` and a link of its own, so that connections and bytes are counted from the start, and both are closed
  with the play.
* What touches the server itself (compact, restart, pause) is felt by everybody who uses it, and so is a write: a client
  that skips a revision loses nothing where the next one is somebody else's. A server that has ``another()`` gives such
  plays, and each lane, one of their own, which the bench owns; it is started for the first play that needs it.
* Each play has a name space that no other has, of this process or of another that uses the same server. They are all
  equally long, so that the bytes of a play are at the same places each time.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_netfault.control import ProxyThread, net_on
from pytest_netfault.faults import Lose, UnsupportedFault
from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.clients import Writer
from pytest_netfault.proof.contract import Run, Server, can
from pytest_netfault.proof.limits import Deadline
from pytest_netfault.proof.runner import play
from pytest_netfault.schedules.dead_flows import touches_server
from pytest_netfault.schedules.generate import Ability, FaultMix
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.store import OpenStore

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Bench", "OpenBench", "namespaces"]

_DIGITS = 10


def namespaces() -> Iterator[str]:
    """Names such as ``r0000000017``, beginning at a number that no other process is likely to be near."""
    number = int.from_bytes(os.urandom(8), "big")
    while True:
        yield f"r{number % 10**_DIGITS:0{_DIGITS}d}"
        number += 1


_NAMES = namespaces()
_NAMES_LOCK = threading.Lock()


def _next_namespace() -> str:
    with _NAMES_LOCK:
        return next(_NAMES)


class OpenBench(Protocol):
    """Makes a bench like the one that a proof has, with a deadline of its own."""

    def __call__(self, until: Deadline = ..., /, *, apart: bool = ...) -> Bench: ...


class Bench:
    """Plays schedules against one client and one server.

    Args:
        open_store: opens the client.
        server: the store itself.
        settings: of the proof.
        deadline: of the plays; by default that of the settings.
        apart: play all on a server that nobody else uses, where there can be one.
    """

    def __init__(
        self,
        open_store: OpenStore,
        server: Server,
        settings: Settings,
        deadline: Deadline | None = None,
        *,
        apart: bool = False,
    ) -> None:
        self._open_store = open_store
        self._all_apart = apart
        self._server = server
        self._settings = settings
        self._deadline = settings.deadline if deadline is None else deadline
        self._thread = ProxyThread()
        self._writer: Writer | None = None
        self._apart: Bench | None = None
        self._apart_stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            if self._all_apart and self.has_servers_apart:
                self._server = self._another()
            self._writer = Writer(self._open_store, self._server.address, self._deadline)
        except BaseException:
            with self._apart_stack:
                self._thread.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer, self._writer = self._writer, None
        with self._apart_stack:
            try:
                if writer is not None:
                    writer.close(self._settings.settle)
            finally:
                self._thread.close()

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the server and the client can do besides."""
        offered: tuple[Literal["compact", "restart", "pause"], ...] = ("compact", "restart", "pause")
        names: list[Ability] = [name for name in offered if can(self._server, name)]
        if callable(getattr(self._open_writer.store, "put_many", None)):
            names.append("many")
        return frozenset(names)

    def possible(self, mix: FaultMix, *, named: bool) -> FaultMix:
        """The mix with the abilities of this server and client, and without what this machine cannot do.

        Faults that somebody named stay: a run that cannot do one says so at its step.
        """
        packets = self._drops_packets()
        faults = [fault for fault in mix.faults if named or packets or not fault.traits.kernel]
        return FaultMix(tuple(faults), self.abilities, packets)

    def _drops_packets(self) -> bool:
        """Whether the kernel can drop packets on the way to this server; the proxy does all other faults itself."""
        with net_on(self._thread, self._settings.seed) as net:
            link = net.forward(self._server.address)
            try:
                link.apply(Lose(0.5)).heal()
            except UnsupportedFault:
                return False
        return True

    @property
    def has_servers_apart(self) -> bool:
        """Whether what touches the server is played on another one, where nobody else feels it."""
        return callable(getattr(self._server, "another", None))

    def _bench_apart(self) -> Bench:
        """The bench on a server of its own."""
        if self._apart is None:
            bench = Bench(self._open_store, self._another(), self._settings, self._deadline)
            self._apart = self._apart_stack.enter_context(bench)
        return self._apart

    def _another(self) -> Server:
        return _opened(self._server.another(), self._apart_stack)  # type: ignore[attr-defined]

    def play(
        self,
        schedule: Schedule,
        *,
        name: str = "",
        deadline: Deadline | None = None,
        learn: bool = False,
        apart: bool = False,
    ) -> Run:
        """Play a schedule once, in a name space and over a link of its own; by default until the bench's deadline.

        With ``learn`` the run knows the frames that its connections carried; with ``apart`` it is played on a server
        that nobody else uses, as in a lane.
        """
        apart = not self._all_apart and self.has_servers_apart and (apart or touches_server(schedule))
        bench = self._bench_apart() if apart else self
        return bench._play(schedule, name=name, deadline=deadline, learn=learn)

    def _play(self, schedule: Schedule, *, name: str, deadline: Deadline | None, learn: bool) -> Run:
        if self._open_writer.failure is not None:
            self._open_writer.renew(self._settings.settle)
        with net_on(self._thread, self._settings.seed) as net:
            return play(
                schedule,
                open_store=self._open_store,
                server=self._server,
                link=net.forward(self._server.address, name="link", frames=True),
                writer=self._open_writer,
                namespace=_next_namespace(),
                promise=self._settings.promise,
                timeouts=self._settings.timeouts,
                name=name or str(schedule),
                deadline=self._deadline if deadline is None else deadline,
                learn=learn,
            )

    @property
    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("the bench is not open: use it in a with statement")
        return self._writer


def _opened(server: Any, stack: contextlib.ExitStack) -> Server:
    """A server of our own, which the stack ends: a context manager, or else by its ``close()``."""
    if hasattr(server, "__enter__"):
        opened: Server = stack.enter_context(server)
        return opened
    if callable(getattr(server, "close", None)):
        stack.callback(server.close)
    taken: Server = server
    return taken
