"""One client's connection: two sockets, and a pipe for each direction between them.

::

            client socket                          upstream socket
               End  ----------- Pipe "up" ----------->  End
                    <---------- Pipe "down" ----------

Rules of this file:

* FIN becomes ``shutdown(SHUT_WR)`` on the other side and nothing else, so a half-closed connection keeps its other
  half. The connection is over when both directions have ended.
* RST ends both directions at once; the pipe decides when it may be forwarded.
* A severed connection ends with FIN even if bytes wait unread: what the peer still sends is read and discarded
  until it closes too, for a bounded time. ``close()`` alone would answer them with RST.
* All methods run on the engine's thread.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable

from pytest_netfault.events import Actor, Cause, ConnectionState, EventKind
from pytest_netfault.faults import Direction as FaultDirection
from pytest_netfault.framers import Spot
from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.budget import Budget
from pytest_netfault.proxy.cuts import CutStage
from pytest_netfault.proxy.dialing import Dial, no_end
from pytest_netfault.proxy.drain import Drain
from pytest_netfault.proxy.end import End, Side
from pytest_netfault.proxy.engine import Engine, Timer
from pytest_netfault.proxy.pipe import Direction, Pipe
from pytest_netfault.proxy.stage import Ending
from pytest_netfault.proxy.stages import HoldStage
from pytest_netfault.proxy.surroundings import Handshaking, Meter, Recorder, Securing, Standing
from pytest_netfault.proxy.wire import Frames, Wire

__all__ = ["Connection"]

# How long a severed peer may take to close its side before the socket is closed under it, as servers do
# ("lingering close"). Long enough for any peer that reads, short enough that a writer soon learns the truth.
_LINGER_SECONDS = 1.0
# How long a client that has reset waits for an upstream that does not answer, in case it still takes the bytes.
_GIVE_UP_SECONDS = 1.0
_OURS = Cause()
_PEERS: dict[Actor, Cause] = {"client": Cause("client"), "upstream": Cause("upstream")}


# More methods, and a longer file, than a class of ours should have: this is the state machine of a connection, each
# method is one thing that can happen to it, and which of them may follow which is only seen where they stand together.
class Connection:
    """A client's connection through a link.

    Owned by its link; ``on_closed`` is called when nothing is left of it.

    Args:
        engine: whose thread this runs on.
        number: the connection's number on its link, from 1.
        client: the accepted socket, non-blocking.
        names: the client's and the upstream's address as text.
        log: writes an event.
        on_closed: called once, at the end.
        meter: notified of bytes that passed, while somebody waits for them.
        budget: how much the link may hold back.
        standing: the faults in force, of which it has all that are in force now.
        frames: whether frames are named in any case.
        secure: makes it speak TLS on both sides; None for bytes as they come.
    """

    def __init__(
        self,
        engine: Engine,
        number: int,
        client: socket.socket,
        names: tuple[str, str],
        *,
        log: Recorder,
        on_closed: Callable[[Connection], None],
        meter: Meter,
        budget: Budget,
        standing: Standing,
        frames: Frames = False,
        secure: Securing | None = None,
    ) -> None:
        self.engine = engine
        self.number = number
        self.client_name, self.upstream_name = names
        self.state: ConnectionState = "connecting"
        self.cause: Cause | None = None  # who has ended it, once it is known
        self.unreachable = Ending.RST  # what the client gets if nobody answers upstream
        self.meter = meter
        self.budget = budget
        self.standing = standing
        self.wire = Wire(frames)
        self.caught_up = standing.number
        self._dial: Dial | None = None
        self._log = log
        self._on_closed = on_closed
        self._timers: set[Timer] = set()
        self._loss = (0.0, 0.0)  # of segments from the client, and from the upstream
        self._dropped_for_good = False  # forgotten, with its segments
        self._cut_by: tuple[Direction, CutStage] | None = None
        self.up = Pipe(self, "up")
        self.down = Pipe(self, "down")
        self.handshake: Handshaking | None = None  # while it is under way
        self._secure = secure
        self.client = self._end(client, "client")
        self.client.outgoing, self.client.incoming = self.up, self.down
        self.up.source = self.down.sink = self.client
        self.upstream: End | None = None

    def _end(self, sock: socket.socket, side: Side) -> End:
        return (
            End(self.engine, sock, side)
            if self._secure is None
            else self._secure.end(self.engine, sock, side)
        )

    @property
    def pipes(self) -> tuple[Pipe, Pipe]:
        """Both directions."""
        return (self.up, self.down)

    @property
    def alive(self) -> bool:
        """Whether faults still have something to act on."""
        return self.state not in ("forgotten", "closing", "closed")

    @property
    def resting(self) -> bool:
        """Whether nothing is on its way here: a new fault need not come before something moves."""
        return self.up.resting and self.down.resting

    def catch_up(self) -> None:
        """Something moves: get the faults that came while nothing did. The pipes call this before they look at it."""
        if self.caught_up != self.standing.number:
            self.caught_up = self.standing.number
            self.standing.place(self)

    # -- reaching the upstream ----------------------------------------------------------------------------

    def await_upstream(self) -> None:
        """It is not known yet where to connect. The client's bytes wait in the kernel; its reset is noticed."""
        if self.alive:
            self.client.want(reading=False, writing=False)

    def start(self, connect: Callable[[], socket.socket | OSError | None]) -> None:
        """Begin to connect, see :class:`.Dial`. Until the upstream answers, the client's bytes wait in the kernel."""
        if self.alive:
            self._dial = Dial(self, connect)
            self.client.want(reading=False, writing=False)
            self._dial.attempt()

    def reach(self, sock: socket.socket) -> None:
        """An attempt is under way: this socket is connecting."""
        end = self._end(sock, "upstream")
        self._attach_upstream(end)
        if self._loss[1]:
            self._set_loss()
        end.want(reading=False, writing=True)

    def _attach_upstream(self, end: End) -> None:
        end.outgoing, end.incoming = self.down, self.up
        self.upstream = self.down.source = self.up.sink = end

    def upstream_ready(self) -> None:
        """An attempt to connect has ended, one way or the other."""
        assert self._dial is not None
        assert self.upstream is not None
        self._dial.ready(self.upstream)

    def reached(self) -> None:
        """The upstream is there."""
        self._dial = None
        if self._secure is None:
            self.opened()
        else:
            self.handshake = self._secure.handshake(self)
            self.shake_hands()

    def shake_hands(self) -> None:
        """Go on with the handshake, if one is under way: something has come, or a fault does not hold it any more."""
        if self.handshake is not None:
            self.handshake.go_on()

    def opened(self) -> None:
        """Both sides are there: from now on bytes pass."""
        self.state = "open"
        self.log("connected", _OURS, address=self.upstream_name)
        self.up.pump()
        self.down.pump()

    def client_gave_up(self) -> None:
        """The client has reset before the upstream answered. If that comes soon, it still gets the client's bytes."""

        def give_up() -> None:
            self.catch_up()
            if self.state == "connecting" and not self.up.flow.held_back(self.engine.now()):
                self.ended_by("client", Ending.RST)
                self.carry_reset()

        self.call_at(self.engine.now() + _GIVE_UP_SECONDS, give_up)

    def upstream_failed(self, why: str) -> None:
        """Nobody answers upstream: the client gets an ending, through whatever faults hold that direction."""
        self.cause = _PEERS["upstream"]
        self.log("upstream_failed", self.cause, address=self.upstream_name, detail=why)
        if self.upstream is None:
            self._attach_upstream(no_end(self))
        self.state = "half-closed"
        self.up.abandon()
        self.down.ended = self.unreachable
        self.down.flow.push(self.engine.now(), self.unreachable)
        self.down.pump()

    # -- what pipes report --------------------------------------------------------------------------------

    def log(
        self,
        kind: EventKind,
        cause: Cause,
        *,
        detail: str = "",
        direction: FaultDirection | None = None,
        address: str = "",
    ) -> None:
        """Write an event of this connection."""
        self._log(kind, self, cause, detail, direction, address=address)

    def stand(self, direction: FaultDirection | None) -> tuple[Spot, ...]:
        """In which frame each direction stands, or one of them; where it was cut comes first."""
        ways: list[Direction] = ["up", "down"] if direction not in ("up", "down") else [direction]
        ahead: dict[Direction, bytes] = {}
        if self._cut_by is not None:
            way, stage = self._cut_by
            ahead[way] = stage.rest()
            ways.sort(key=lambda one: one != way)
        spots = (self.wire.spot(one, ahead.get(one, b"")) for one in ways) if self.wire.watched else ()
        return tuple(spot for spot in spots if spot is not None)

    def ended_by(self, side: Actor, ending: Ending) -> None:
        """A peer has ended its direction, or reset the connection."""
        cause = _PEERS[side]
        if self.cause is None or ending is Ending.RST:  # a RST ends what was half-closed until then
            self.cause = cause
        if ending is Ending.FIN:
            self.log("fin", cause, direction="up" if side == "client" else "down")
        else:
            self.log("rst", cause, direction="both")

    def other(self, pipe: Pipe) -> Pipe:
        """The pipe of the other direction."""
        return self.down if pipe is self.up else self.up

    def one_way_done(self) -> None:
        """A FIN was forwarded. When both were, and nothing is behind them, the connection is over."""
        up, down = self.pipes
        if up.finished and down.finished and up.flow.empty and down.flow.empty:
            if not any(end.waiting for end in self._ends()):  # otherwise it comes back once nothing does
                self.close()
        elif self.state == "open":
            self.state = "half-closed"

    def cut(self, pipe: Pipe, stage: CutStage) -> None:
        """The bytes before a cut were delivered (and, for a RST, acknowledged): cut here."""
        self._log_cut(pipe, stage)
        if stage.how == "fin":
            self.sever(stage.cause)
        elif stage.how == "rst":
            self.close_with_reset(stage.cause)
        else:
            for each in self.pipes:
                self._freeze(each, stage)

    def cut_waits(self, pipe: Pipe, stage: CutStage) -> bool:
        """Whether a cut whose bytes were sent must wait until they are acknowledged; the other way is silent then."""
        if stage.healed or stage.how != "rst":
            return False
        if not stage.hit:
            self._log_cut(pipe, stage)
            self._freeze(self.other(pipe), stage)
        return True

    def _log_cut(self, pipe: Pipe, stage: CutStage) -> None:
        self._cut_by = (pipe.direction, stage)
        if not stage.hit:
            stage.hit = True
            self.log("hit", stage.cause, direction=pipe.direction)

    def _freeze(self, pipe: Pipe, key: CutStage) -> None:
        """Let nothing pass in this direction until the cut is healed."""
        self.catch_up()
        if not any(isinstance(stage, _CutHold) and stage.key is key for stage in pipe.flow.stages):
            pipe.flow.add(self.engine.now(), _CutHold(key))
            pipe.refresh()

    def thaw(self, key: CutStage) -> None:
        """A cut was healed: if it had frozen the connection, that is over."""
        for pipe in self.pipes:
            for stage in list(pipe.flow.stages):
                if isinstance(stage, _CutHold) and stage.key is key:
                    pipe.flow.remove(self.engine.now(), stage)
            pipe.pump()

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        """Call back once ``when`` has come, unless the connection is closed or forgotten by then."""

        def fire() -> None:
            self._timers.discard(timer)
            callback()

        timer = self.engine.call_at(when, fire)
        self._timers.add(timer)

    # -- ways to end --------------------------------------------------------------------------------------

    def sever(self, cause: Cause) -> None:
        """End the connection in order: FIN both ways."""
        if not self.alive:
            return
        self.state = "closing"
        self.cause = cause
        self.log("fin", cause, direction="both")
        self._still()
        for end in self._ends():
            end.finish_writing()
            if end.outgoing.ended is not None or not end.connected:
                end.close()
            else:
                Drain(end, self._drained).start()
        self.call_at(self.engine.now() + _LINGER_SECONDS, self.close)
        self._drained()

    def _drained(self) -> None:
        if all(end.fd < 0 for end in self._ends()):
            self.close()

    def forget_flow(self, *, packets: bool, on_client_ended: Callable[[], None]) -> None:
        """Be mute for good: nothing passes any more, nothing is closed, and no later fault is felt.

        What was on its way is gone, bytes and endings alike. A side is let go of silently once its peer is surely
        gone. One that has only said FIN may still listen, so its socket stays.

        Args:
            packets: the kernel drops the segments by now, and goes on doing so.
            on_client_ended: called once, when the client has ended its side or is gone.
        """
        self.state = "forgotten"
        self._cancel_timers()
        self._still()
        self._dropped_for_good = packets
        for end in self._ends():
            ended = on_client_ended if end is self.client else None
            end.watch_for_end(functools.partial(self._forgotten_peer_ended, end, ended))
        self._release_if_done()

    def _forgotten_peer_ended(self, end: End, on_ended: Callable[[], None] | None) -> None:
        if self.state != "forgotten" or end.fd < 0:
            return
        ended = end.peer_ended
        if ended and self.cause is None:
            self.cause = _PEERS[end.side]
        if end.peer_gone:
            end.close()
        elif ended or end.hides_its_end:
            end.watch_for_gone()
        if ended and on_ended is not None:
            on_ended()
        self._release_if_done()

    def _release_if_done(self) -> None:
        if self.state == "forgotten" and all(end.fd < 0 for end in self._ends()):
            self.close()

    def give_up(self, cause: Cause) -> None:
        """Nothing passes any more, as of now; both sides get RST as soon as the present step is over."""
        if self.alive:
            self.state = "closing"
            for end in self._ends():
                end.unwatch()
            self.cause = cause
            self.call_at(self.engine.now(), lambda: self.close_with_reset(cause))

    def close_with_reset(self, cause: Cause) -> None:
        """A fault ends the connection with RST to both sides, now."""
        if self.state != "closed":
            if self.alive:  # what was severed a moment ago is reset now, and stays ended by what severed it
                self.cause = cause
            self.log("rst", cause, direction="both")
            self._finish(reset=True)

    def carry_reset(self) -> None:
        """A peer's RST, or its failure to answer, has reached the other side: end the connection with RST, now."""
        if self.state != "closed":
            self._finish(reset=True)

    def close(self) -> None:
        """Let go of both sockets. Bytes that wait in the kernel are still sent."""
        if self.state != "closed":
            self._finish(reset=False)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _still(self) -> None:
        for pipe in self.pipes:
            pipe.cancel_timer()
            pipe.flow.clear()
            if pipe.cost:
                pipe.account()
            self.budget.forget(pipe)

    def _finish(self, *, reset: bool) -> None:
        self.state = "closed"
        self._cancel_timers()
        self._still()
        for end in self._ends():
            end.close(reset=reset)
        self.log("closed", self.cause or _OURS)
        self._on_closed(self)

    def _ends(self) -> tuple[End, ...]:
        return (self.client,) if self.upstream is None else (self.client, self.upstream)

    def set_loss(self, *, up: float, down: float) -> None:
        """Let the kernel drop arriving segments with these probabilities."""
        self._loss = (1.0, 1.0) if self._dropped_for_good else (up, down)
        self._set_loss()

    def _set_loss(self) -> None:
        for end, loss in zip(self._ends(), self._loss, strict=False):
            if end.fd >= 0 and end.loss != loss:
                kernel.set_loss(end.sock, loss)
                end.loss = loss

    def drops(self, direction: Direction) -> int:
        """Segments of this direction that the kernel has dropped."""
        end = self.client if direction == "up" else self.upstream
        return kernel.drops_of(end.sock) if end is not None and end.fd >= 0 else 0

    def forget(self) -> None:
        """In a forked child: close the copies, send nothing."""
        for end in self._ends():
            end.sock.close()


class _CutHold(HoldStage):
    """The silence of a cut that has frozen its connection."""

    def __init__(self, key: CutStage) -> None:
        super().__init__()
        self.key = key
