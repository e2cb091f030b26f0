"""A pipe carries one direction of a connection: it reads from one socket and writes to the other.

::

    source End -> recv -> Flow (the stages of the faults) -> send -> sink End

Rules of this file:

* **One read, one write for each event.** A pipe without faults sends straight from the buffer that it read into.
* **Order.** An ending travels behind the bytes that came before it, through the same stages.
* **RST** is what a socket reports: an error in ``recv``, or in ``send`` to a peer that reset. Bytes that the peer sent
  before its RST are read first.
* **Not reading is not listening.** A socket whose bytes are not wanted is not asked; if it reports a hang-up
  meanwhile it is taken out of the set until it is wanted again, or the loop would spin on it.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING, Literal

from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.engine import READ, TROUBLE, WRITE, Engine, Timer
from pytest_netfault.proxy.flow import Flow
from pytest_netfault.proxy.stages import CutHere, Ending

if TYPE_CHECKING:
    from pytest_netfault.proxy.connection import Connection

__all__ = ["READ_SIZE", "Direction", "End", "Pipe", "Side"]

# Large reads are most of the speed of a bulk stream: a system call costs about as much as copying 16 KiB.
READ_SIZE = 256 * 1024
# Pieces sent in one go before other sockets get their turn.
_PIECES = 64
# How soon to look again whether a segment has left. The kernel has no event for it.
_SENT_POLL_SECONDS = 0.0005
# What the kernel may hold unsent for a receiver that does not read. Small, so that a fault that comes into force
# stops a stream where it is and not megabytes later; large enough not to slow a bulk stream.
_UNSENT_LOW_WATER = 128 * 1024

_RESET = struct.pack("ii", 1, 0)

Direction = Literal["up", "down"]
Side = Literal["client", "upstream"]


class End:
    """A socket of a connection and what is waited for on it."""

    __slots__ = (
        "engine",
        "fd",
        "incoming",
        "loss",
        "mask",
        "outgoing",
        "parked",
        "reset",
        "side",
        "sock",
        "watched",
    )

    def __init__(self, engine: Engine, sock: socket.socket, side: Side) -> None:
        self.engine = engine
        self.sock = sock
        self.fd = sock.fileno()
        self.side = side
        self.mask = 0
        self.loss = 0.0
        self.watched = False
        self.parked = False
        self.reset = False  # the peer reset, seen when writing; reading may not say it again
        self.incoming: Pipe  # the pipe that writes to this socket
        self.outgoing: Pipe  # the pipe that reads from it
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_LOW_WATER)

    def want(self, reading: bool, writing: bool) -> None:
        """Wait for these from now on."""
        mask = (READ if reading else 0) | (WRITE if writing else 0)
        if mask == self.mask and self.watched:
            return
        self.mask = mask
        if self.parked:
            if not mask:
                return
            self.parked = False
        if self.watched:
            self.engine.modify(self.fd, mask)
        elif self.fd >= 0:
            self.engine.register(self.fd, mask, self.on_ready)
            self.watched = True

    @property
    def has_unread(self) -> bool:
        """Whether bytes or an ending wait here that nobody has read."""
        return self.fd >= 0 and (self.parked or kernel.unread(self.sock) > 0)

    def park(self) -> None:
        """Out of the set, until something is wanted again.

        Only if the hang-up is real: the alarm may be a late one, meant for a socket that had this number before.
        """
        probe = select.poll()
        probe.register(self.fd, 0)
        if probe.poll(0):
            self.parked = True
            self.unwatch()

    def unwatch(self) -> None:
        """Out of the set."""
        if self.watched:
            self.watched = False
            self.engine.unregister(self.fd)

    def on_ready(self, mask: int) -> None:
        """The engine says that the socket is ready for something."""
        if mask & WRITE and self.mask & WRITE:
            self.incoming.writable()
        if mask & (READ | TROUBLE) and self.fd >= 0:
            if self.mask & READ:
                self.outgoing.readable()
            elif mask & TROUBLE:
                if self.mask & WRITE:  # a write will tell what is wrong
                    self.incoming.writable()
                if self.fd >= 0 and not self.mask & READ:
                    self.park()

    def finish_writing(self) -> None:
        """Send FIN behind what was sent."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the peer is gone already; the reading side says how
            pass

    def close(self, *, reset: bool = False) -> None:
        """Close the socket: with RST if asked, otherwise as the kernel closes."""
        if self.fd < 0:
            return
        self.unwatch()
        self.fd = -1
        if reset and self.sock.family != socket.AF_UNIX:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass
        self.sock.close()


class Pipe:
    """One direction of a connection."""

    __slots__ = (
        "connection",
        "count",
        "direction",
        "ended",
        "finished",
        "flow",
        "sink",
        "source",
        "stuck",
        "timer",
    )

    def __init__(self, connection: Connection, direction: Direction) -> None:
        self.connection = connection
        self.direction: Direction = direction
        self.flow = Flow()
        self.count = 0  # bytes delivered to the receiver, as far as they count
        self.ended: Ending | None = None  # how the source has ended; nothing more is read
        self.finished = False  # the sink was told of an ending, or is gone
        self.stuck = False  # the sink took less than it was given
        self.timer: Timer | None = None
        self.source: End
        self.sink: End

    # -- what the sockets report --------------------------------------------------------------------------

    def readable(self) -> None:
        """The source has bytes or an ending: read once, and pass it on."""
        connection = self.connection
        plain = self.flow.plain
        try:
            if plain:
                size = self.source.sock.recv_into(connection.buffer)
            else:
                data = self.source.sock.recv(READ_SIZE)
                size = len(data)
        except BlockingIOError:
            return
        except OSError:
            self.end(Ending.RST)
            return
        if not size:
            self.end(Ending.RST if self.source.reset else Ending.FIN)
            return
        if not plain:
            self.flow.push(connection.engine.now(), data)
            self.pump()
            return
        try:
            sent = self.sink.sock.send(connection.view[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            self._sink_failed()
            return
        self.count += sent
        if sent < size:
            self.flow.push(0.0, bytes(connection.view[sent:size]))
            self.stuck = True
            self.refresh()
        if connection.meter.watched:
            connection.meter.look()

    def writable(self) -> None:
        """The sink takes bytes again, or its attempt to connect has ended."""
        if self.connection.state == "connecting":
            self.connection.upstream_ready()
            return
        self.stuck = False
        self.pump()

    def end(self, ending: Ending) -> None:
        """The source has ended this way."""
        if self.ended is Ending.RST or self.ended is ending:
            return
        self.ended = ending
        connection = self.connection
        connection.log("fin" if ending is Ending.FIN else "rst", by=self.source.side)
        if ending is Ending.RST:
            # Nobody is there any more to take what comes the other way.
            self.source.reset = True
            connection.other(self).abandon()
        self.flow.push(connection.engine.now(), ending)
        self.pump()

    def abandon(self) -> None:
        """The sink is gone: read no more for it, and throw away what was meant for it."""
        self.flow.clear()
        self.ended = Ending.RST
        self.finished = True
        self.stuck = False
        self.cancel_timer()
        self.refresh()

    def _sink_failed(self) -> None:
        """Writing found that the receiver has reset. Its own pipe reads what it still sent, and then the RST."""
        reverse = self.connection.other(self)
        self.sink.reset = True
        self.abandon()
        if reverse.ended is Ending.FIN:
            reverse.end(Ending.RST)
        else:
            reverse.refresh()

    def source_has_unread(self) -> bool:
        """Whether something waits at the source that a fault keeps from being read."""
        return self.ended is None and self.source.has_unread

    # -- moving -------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Hand on what may go on now, and arrange to be called for the rest."""
        connection = self.connection
        if connection.state in ("connecting", "closing", "closed"):
            return
        flow = self.flow
        now = connection.engine.now()
        separate = flow.separate
        pieces = 0
        again = False
        while not self.stuck and (item := flow.next(now)) is not None:
            if isinstance(item, (Ending, CutHere)):
                flow.took(0)
                self._deliver_ending(item)
                if connection.state in ("closing", "closed"):
                    return
                continue
            if pieces == _PIECES or (separate and kernel.unsent(self.sink.sock)):
                again = True
                break
            try:
                sent = self.sink.sock.send(item)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._sink_failed()
                return
            pieces += 1
            self.stuck = sent < len(item)
            self.count += flow.took(sent)
        self.refresh(again=again)
        if pieces and connection.meter.watched:
            connection.meter.look()

    def _deliver_ending(self, ending: Ending | CutHere) -> None:
        """Everything before this ending was handed to the sink: now the ending itself."""
        if isinstance(ending, CutHere):
            if not ending.stage.healed:
                self.connection.cut(self, ending.stage)
        elif ending is Ending.FIN:
            self.finished = True
            self.sink.finish_writing()
            self.connection.one_way_done()
        else:
            self.finished = True
            self.connection.pass_on_reset(self)

    def refresh(self, *, again: bool = False) -> None:
        """Ask for what is wanted now: bytes from the source, room at the sink, a call when a stage wakes.

        Args:
            again: there is more to hand on, as soon as other sockets had their turn.
        """
        connection = self.connection
        if connection.state in ("connecting", "closing", "closed"):
            return
        now = connection.engine.now()
        flow = self.flow
        reading = self.ended is None and (flow.plain or not flow.full(now))
        source, sink = self.source, self.sink
        if source.fd >= 0:
            source.want(reading, source.incoming.stuck)
        if sink.fd >= 0:
            sink.want(bool(sink.mask & READ), self.stuck)
        if self.stuck:
            wake = None
        elif again:
            wake = now + (_SENT_POLL_SECONDS if flow.separate else 0.0)
        else:
            wake = now if flow.out else flow.wake(now)
        if wake is None:
            self.cancel_timer()
        elif self.timer is None or self.timer.when > wake:
            self.cancel_timer()
            self.timer = connection.engine.call_at(wake, self._on_timer)

    def _on_timer(self) -> None:
        self.timer = None
        self.pump()

    def cancel_timer(self) -> None:
        """Do not pump by the clock any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
