"""A pipe carries one direction of a connection: it reads from one socket and writes to the other.

::

    source End -> recv -> Flow (the stages of the faults) -> send -> sink End

Rules of this file:

* **One read, one write for each event.** A pipe without faults sends straight from the buffer that it read into.
* **Order.** An ending travels behind the bytes that came before it, through the same stages.
* **RST** is what a socket reports: an error in ``recv``, or in ``send`` to a peer that reset. Bytes that the peer sent
  before its RST are read first. It is forwarded once the bytes before it were acknowledged, because a reset throws
  away what its socket has not yet sent; but a receiver that takes nothing for a while does not hold it up for ever.
  Until then it stays in the flow, where a later fault can still hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pytest_netfault.events import Cause
from pytest_netfault.proxy.end import End
from pytest_netfault.proxy.engine import READ_SIZE, Timer
from pytest_netfault.proxy.flow import Flow
from pytest_netfault.proxy.poller import READ
from pytest_netfault.proxy.stage import CutHere, Data, Ending, Stage

if TYPE_CHECKING:
    from pytest_netfault.proxy.connection import Connection

__all__ = ["Direction", "Pipe"]

# Pieces sent in one go before other sockets get their turn.
_PIECES = 64
# How often to look whether bytes before a RST were acknowledged: soon at first, then ever more rarely. The kernel
# has no event for it.
_ACK_POLL_SECONDS = (0.001, 0.05)
# How long a carried RST waits for a receiver that takes nothing.
_RST_PATIENCE_SECONDS = 1.0
# How long a RST waits behind bytes of which the kernel does not say whether they were acknowledged.
_UNKNOWN_SECONDS = 0.1
Direction = Literal["up", "down"]


# A method more than a class of ours should have: it is one direction, from one recv to one send, and its fast path is
# measured as it stands.
class Pipe:
    """One direction of a connection."""

    __slots__ = (
        "connection",
        "cost",
        "count",
        "direction",
        "ended",
        "finished",
        "flow",
        "fresh",
        "patience",
        "sink",
        "source",
        "stuck",
        "taken",
        "timer",
    )

    def __init__(self, connection: Connection, direction: Direction) -> None:
        self.connection = connection
        self.direction: Direction = direction
        self.flow = Flow()
        self.cost = 0  # what the link's budget knows that is held here
        self.count = 0  # bytes delivered to the receiver, as far as they count
        self.taken = 0  # bytes read from the source
        self.ended: Ending | None = None  # how the source has ended; nothing more is read
        self.finished = False  # the sink has got an ending, or is gone
        self.stuck = False  # the sink took less than it was given
        self.timer: Timer | None = None
        self.fresh: list[
            tuple[Stage, Cause]
        ] = []  # faults that have met nothing here yet, and what events say of them
        self.patience = (0, 0.0)  # with a RST: how many bytes are before it, and since when none was taken
        self.source: End
        self.sink: End

    @property
    def resting(self) -> bool:
        """Whether nothing is on its way here, and nothing is watched for by the clock."""
        return self.timer is None and not self.stuck and self.flow.empty

    # -- what the sockets report --------------------------------------------------------------------------

    def readable(self) -> None:
        """The source has bytes or an ending: read once, and pass it on."""
        connection = self.connection
        if connection.caught_up != connection.standing.number:
            connection.catch_up()
            self.refresh()
            if not self.source.mask & READ:  # a fault does not want it to be read
                return
        plain = self.flow.plain
        most = READ_SIZE
        if connection.budget.used > connection.budget.easy:
            most = min(most, connection.budget.room(self.cost))
            if not most:
                self.refresh()
                return
        try:
            if plain:
                size = self.source.sock.recv_into(connection.engine.buffer, most)
            else:
                # What waits for the receiver and what is read now are together no more than one read.
                data = self.source.sock.recv(min(most, max(1, READ_SIZE - self.flow.settled)))
                size = len(data)
        except BlockingIOError:
            return
        except OSError:
            self.end(Ending.RST)
            return
        if not size:
            self.end(Ending.RST if self.source.reset else Ending.FIN)
            return
        self.taken += size
        if not plain:
            self.flow.push(connection.engine.now(), data)
            self.pump()
            return
        try:
            sent = self.sink.sock.send(connection.engine.buffer[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            self._sink_failed()
            return
        self.count += sent
        if not connection.wire.idle:
            connection.wire.delivered(self.direction, connection.engine.buffer[:sent])
        if sent < size:
            self.flow.push(0.0, bytes(connection.engine.buffer[sent:size]))
            self.stuck = True
            self.refresh()
        if connection.meter.watched:
            connection.meter.look()

    def source_reset(self) -> None:
        """The source has reset while nothing was read from it."""
        connection = self.connection
        connection.catch_up()
        if connection.state == "connecting":
            connection.client_gave_up()
        elif self.ended is Ending.FIN:
            self.end(Ending.RST)
        elif (
            self.ended is None and not self.flow.held_back(connection.engine.now()) and self._may_hold_more()
        ):
            self._read_rest()
            self.end(Ending.RST)

    def _read_rest(self) -> None:
        """Take in all that a source which is gone has left in the kernel."""
        now = self.connection.engine.now()
        try:
            while data := self.source.sock.recv(READ_SIZE):
                self.taken += len(data)
                self.flow.push(now, data)
        except OSError:  # the error that says how it has ended
            pass

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
        connection.ended_by(self.source.side, ending)
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

    # -- moving -------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Hand on what may go on now, and arrange to be called for the rest."""
        connection = self.connection
        if connection.caught_up != connection.standing.number:
            connection.catch_up()
        if connection.state != "open" and (connection.state == "connecting" or not connection.alive):
            connection.shake_hands()
            return
        flow = self.flow
        now = connection.engine.now()
        if self.fresh and not flow.plain:
            self._note_hits()
        separate = flow.separate
        if separate is not self.sink.separate and self.sink.fd >= 0:
            self.sink.set_separate(separate)
        pieces = 0
        again = False
        while not self.stuck and (item := flow.next(now)) is not None:
            if isinstance(item, (Ending, CutHere)):
                if not self._may_end(item, now):
                    break
                flow.took(0)
                self._deliver_ending(item)
                if connection.state in ("closing", "closed"):
                    return
                continue
            if pieces == _PIECES:
                again = True
                break
            if separate and self.sink.unsent():
                self.stuck = True
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
            self._took(item, sent)
        if self.stuck and flow.ends_with_reset and self._may_end(Ending.RST, now):
            self.connection.carry_reset()
            return
        self.refresh(again=again)
        if pieces and connection.meter.watched:
            connection.meter.look()

    def _took(self, item: Data, sent: int) -> None:
        """The sink took so many bytes of the next item."""
        counts = self.flow.took(sent)
        self.count += counts
        if counts and not self.connection.wire.idle:
            self.connection.wire.delivered(self.direction, item[:sent])

    def _note_hits(self) -> None:
        """Write an event for each fault that has met its first traffic here."""
        for stage, fault in self.fresh:
            if stage.met:
                self._log_hit(fault)
        self.fresh = [
            (stage, fault) for stage, fault in self.fresh if not stage.met and stage in self.flow.stages
        ]

    def _log_hit(self, fault: Cause) -> None:
        self.connection.log("hit", fault, direction=self.direction)

    def forget(self, stage: Stage) -> None:
        """A fault is being taken away: what it has not met here, it never will."""
        for fresh in self.fresh:
            if fresh[0] is stage:
                if stage.met:
                    self._log_hit(fresh[1])
                self.fresh.remove(fresh)
                return

    def _may_end(self, ending: Ending | CutHere, now: float) -> bool:
        """Whether the ending that is due may be forwarded, or must wait for bytes before it to be acknowledged."""
        if ending is Ending.FIN or (
            isinstance(ending, CutHere) and not self.connection.cut_waits(self, ending.stage)
        ):
            return True
        waiting = self.sink.unacknowledged()
        left = (1 if waiting is None else waiting) + (self.flow.settled if self.stuck else 0)
        if left != self.patience[0]:
            self.patience = (left, now)
        if waiting is None and not self.stuck and now - self.patience[1] >= _UNKNOWN_SECONDS:
            return True
        if not left or self.sink.reset:
            return True
        return ending is Ending.RST and now - self.patience[1] >= _RST_PATIENCE_SECONDS

    def _deliver_ending(self, ending: Ending | CutHere) -> None:
        """Everything before this ending was passed to the sink: now the ending itself."""
        if isinstance(ending, CutHere):
            if not ending.stage.healed:
                self.connection.cut(self, ending.stage)
        elif ending is Ending.FIN:
            self.finished = True
            self.sink.finish_writing(in_order=not self.source.truncated)
            self.connection.one_way_done()
        else:
            self.finished = True
            self.connection.carry_reset()

    def refresh(self, *, again: bool = False) -> None:
        """Ask for what is wanted now: bytes from the source, room at the sink, a call when a stage wakes.

        Args:
            again: there is more to hand on, as soon as other sockets had their turn.
        """
        connection = self.connection
        if self.cost or not self.flow.plain:
            self.account()
        if connection.state != "open" and (connection.state == "connecting" or not connection.alive):
            return
        now = connection.engine.now()
        flow = self.flow
        reading = self.ended is None and (flow.plain or not flow.full(now))
        if reading and not self._may_hold_more():
            reading = False
            connection.budget.wait(self)
        source, sink = self.source, self.sink
        if source.fd >= 0:
            source.want(reading, source.incoming.stuck)
        if sink.fd >= 0:
            sink.want(bool(sink.mask & READ), self.stuck)
        if again:
            wake: float | None = now
        elif flow.ends_with_reset or (flow.out and isinstance(flow.out[0], CutHere)):
            soonest, latest = _ACK_POLL_SECONDS
            wake = now + min(max(soonest, (now - self.patience[1]) / 4), latest)
        elif self.stuck:
            wake = None
        else:
            wake = now if flow.out else flow.wake(now)
        if wake is None:
            self.cancel_timer()
        elif self.timer is None or self.timer.when > wake:
            self.cancel_timer()
            self.timer = connection.engine.call_at(wake, self._on_timer)

    def account(self) -> None:
        """Tell the link's budget how much is held here now."""
        cost = 0 if self.flow.plain else self.flow.cost
        if cost != self.cost:
            before, self.cost = self.cost, cost
            self.connection.budget.change(before, cost)

    def _may_hold_more(self) -> bool:
        budget = self.connection.budget
        return budget.used <= budget.easy or budget.room(self.cost) > 0

    def has_room(self) -> None:
        """Others of the link hold less than before."""
        self.refresh()

    def _on_timer(self) -> None:
        self.timer = None
        self.pump()

    def cancel_timer(self) -> None:
        """Do not pump by the clock any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
