"""What passes on a connection, framed: where each direction stands, in the words of its protocol.

A connection does not pay for that until somebody asks. The first bytes that it delivers are kept, a few kilobytes; who
asks while they are all that it has delivered (a cut is put on it, or its link names frames in any case) gets frames for
as long as the connection lives. Whoever asks later comes too late: without its beginning a stream has no frames.

Bytes count when they were delivered, so a frame is where the receiver is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.faults import UnsupportedFault
from pytest_netfault.framers import Conversation, Message, Spot, detect
from pytest_netfault.framers.detect import BYTES_TO_DETECT

__all__ = ["BYTES_KEPT", "ConnectionFrames", "Frames", "Wire"]

Way = Literal["up", "down"]
#: Whether a link names frames: the protocol, True to find out which it is, False only when something asks.
Frames = str | bool
# Of both directions together. The greeting and the first requests of any client, and little for a thousand connections.
BYTES_KEPT = 16 * 1024
# What would come next, as far as it is looked at to say what begins there.
_AHEAD = 4 * 1024

# Of one connection, both directions together, that are remembered for whoever asks which there were.
_MESSAGES_KEPT = 20_000


@dataclass(frozen=True)
class ConnectionFrames:
    """What one connection has delivered so far, in frames.

    Attributes:
        protocol: what it speaks; None if that is not known.
        up: the frames from client to server that have ended, and messages inside frames.
        down: those from server to client.
        lost_up: from which position on there are no frames any more, if that is so.
        lost_down: the same from server to client.
        turns: how many bytes went which way before the other side had its turn, while all of it was kept; without a
            protocol that is known this is what says how far a conversation has come.
    """

    protocol: str | None
    up: tuple[Message, ...] = ()
    down: tuple[Message, ...] = ()
    lost_up: int | None = None
    lost_down: int | None = None
    turns: tuple[tuple[Way, int], ...] = ()


Listener = Callable[[Way, bytes | memoryview], None]


class Wire:
    """What one connection has delivered.

    Args:
        frames: whether its link names frames in any case.
    """

    __slots__ = (
        "_conversation",
        "_count",
        "_frames",
        "_kept",
        "_listeners",
        "_lost",
        "_messages",
        "_turns",
        "idle",
    )

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._conversation = Conversation(frames) if isinstance(frames, str) else None
        self._kept: list[tuple[Way, bytearray]] = []
        self._turns: tuple[tuple[Way, int], ...] = ()  # of what was kept, once it is not any more
        self._count = 0  # bytes of both directions that were delivered
        self._lost = False  # its beginning was not kept, or it speaks nothing that is known
        self._listeners: list[Listener] = []
        self._messages: dict[Way, list[Message]] = {"up": [], "down": []}  # if the link names frames
        self.idle = False  # nobody wants to know what is delivered

    def delivered(self, way: Way, data: bytes | memoryview) -> None:
        """These bytes were delivered to the receiver of a direction."""
        for listener in self._listeners:
            listener(way, data)
        self._count += len(data)
        if self._conversation is not None:
            self._note(way, self._conversation.feed(way, data))
        elif not self._lost:
            self._keep(way, data)

    def _keep(self, way: Way, data: bytes | memoryview) -> None:
        full = self._count > BYTES_KEPT
        if not full or self._frames:
            if self._kept and self._kept[-1][0] == way:
                self._kept[-1][1].extend(data)
            else:
                self._kept.append((way, bytearray(data)))
        if full:
            if self._frames:
                self._messages = {"up": [], "down": []}
                self._conversation = self._found()
                self._turns = self._kept_turns()
            self._kept.clear()
            self._lost = self._conversation is None
            self._settle()

    def _found(self) -> Conversation | None:
        """The conversation of what was kept, if it is in a protocol that is known."""
        up, down = (
            b"".join(bytes(data) for one, data in self._kept if one == way)[:BYTES_TO_DETECT]
            for way in ("up", "down")
        )
        protocol = detect(up, down)
        return self._replayed(protocol) if protocol else None

    def _kept_turns(self) -> tuple[tuple[Way, int], ...]:
        return tuple((way, len(data)) for way, data in self._kept)

    def _replayed(self, protocol: str) -> Conversation:
        conversation = Conversation(protocol)
        for way, data in self._kept:
            self._note(way, conversation.feed(way, bytes(data)))
        return conversation

    def _note(self, way: Way, messages: list[Message]) -> None:
        if self._frames and len(self._messages["up"]) + len(self._messages["down"]) < _MESSAGES_KEPT:
            self._messages[way] += messages

    def _settle(self) -> None:
        self.idle = self._lost and self._conversation is None and not self._listeners

    @property
    def begun(self) -> bool:
        """Whether anything was delivered."""
        return self._count > 0

    @property
    def watched(self) -> bool:
        """Whether frames are named here without being asked for."""
        return bool(self._frames)

    def watch(self) -> None:
        """Frames will be asked for: name them for as long as the connection lives, if that is possible."""
        self._frames = self._frames or True

    def conversation(self, protocol: str) -> Conversation:
        """All that was delivered so far, as frames of a protocol; the caller's own, to go on with.

        Raises:
            UnsupportedFault: too much was delivered before anybody asked.
        """
        live = self._conversation
        if live is not None and live.protocol == protocol:
            return live.fork()
        if live is not None and self._count:
            raise UnsupportedFault(
                f"an open connection speaks {live.protocol}, so it has no frames of {protocol}"
            )
        if self._lost:
            raise UnsupportedFault(
                f"an open connection has delivered more than {BYTES_KEPT:,} bytes, and its frames were not counted "
                f"from the beginning; open the link with forward(..., frames={protocol!r}), or apply the fault before "
                "the connection is made"
            )
        return self._replayed(protocol)

    def frames(self) -> ConnectionFrames:
        """What was delivered so far, in frames."""
        conversation, turns = self._conversation, self._turns or self._kept_turns()
        if conversation is None:
            self._messages = {"up": [], "down": []}
            conversation = None if self._lost else self._found()
        if conversation is None:
            return ConnectionFrames(None, turns=turns)
        lost_up, lost_down = (
            None if one.lost is None else one.lost_at for one in (conversation.up, conversation.down)
        )
        messages = tuple(self._messages["up"]), tuple(self._messages["down"])
        return ConnectionFrames(conversation.protocol, *messages, lost_up, lost_down, turns)

    def listen(self, listener: Listener) -> None:
        """Call this with all that is delivered from now on."""
        self._listeners.append(listener)
        self.idle = False

    def unlisten(self, listener: Listener) -> None:
        """Do not call it any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        self._settle()

    def spot(self, way: Way, ahead: bytes = b"") -> Spot | None:
        """Where a direction stands; None if nobody knows.

        Args:
            way: the direction.
            ahead: what would be delivered next, as far as it is known.
        """
        conversation = self._conversation
        if conversation is None and not self._lost:
            conversation = self._found()
        return None if conversation is None else conversation.spot(way, ahead[:_AHEAD])
