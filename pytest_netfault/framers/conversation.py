"""Both directions of a connection, framed beside each other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

from pytest_netfault.framers import amqp, http1, http2, mqtt, nats, postgres, resp, zookeeper
from pytest_netfault.framers.base import Framer, Message
from pytest_netfault.framers.registry import registered
from pytest_netfault.framers.spot import Spot, spot_in

__all__ = ["Conversation", "Way"]

Way = Literal["up", "down"]

_FRAMERS: dict[str, Callable[[], tuple[Framer, Framer]]] = {
    "amqp": amqp.framers,
    "http1": http1.framers,
    "http2": http2.framers,
    "mqtt": mqtt.framers,
    "nats": nats.framers,
    "postgres": postgres.framers,
    "resp": resp.framers,
    "zookeeper": zookeeper.framers,
}


class Conversation:
    """One connection that speaks a protocol. What is fed is what has passed, in the order in which it did.

    What a frame is called can depend on the other direction: the response of gRPC is named after the request. So a
    request must be fed before its response, as is always the case on a wire.

    >>> conversation = Conversation("resp")
    >>> [frame.type for frame in conversation.feed("up", b"*1\\r\\n$4\\r\\nPING\\r\\n")]
    ['PING']
    >>> conversation.feed("down", b"+PO")
    []
    >>> print(conversation.spot("down"))
    inside the 1st frame, 3 bytes in

    Args:
        protocol: one of ``PROTOCOLS``, or one that was registered.
    """

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        own = registered.get(protocol)
        self.up, self.down = _FRAMERS[protocol]() if own is None else own.framers()
        self._last: dict[Way, Message | None] = {"up": None, "down": None}

    def feed(self, way: Way, data: bytes | memoryview) -> list[Message]:
        """The next bytes of a direction; returns the frames that end in them, in the order of their ends."""
        frames = self.framer(way).feed(data)
        if frames:
            self._last[way] = next(
                (one for one in reversed(frames) if one.index is not None), self._last[way]
            )
        return frames

    def framer(self, way: Way) -> Framer:
        """The framer of a direction."""
        return self.up if way == "up" else self.down

    def spot(self, way: Way, ahead: bytes = b"") -> Spot | None:
        """Where a direction stands; None if it is not, or no longer, framed.

        Args:
            way: the direction.
            ahead: what would come next, as far as it is known, to say what the frame is that begins there.
        """
        framer = self.framer(way)
        if framer.lost is not None:
            return None
        after = self.fork()
        ended = after.feed(way, ahead)
        return spot_in(self.protocol, way, framer, self._last[way], ended, after.framer(way))

    def fork(self) -> Conversation:
        """One that stands where this one does, and goes on by itself."""
        return copy.deepcopy(self)
