"""Counts what connections exchange from one moment on: frames where the protocol is known, turns elsewhere.

Pure; fed by the stages of :mod:`.transient`, in the order in which the proxy reads. The same code observes the plays of
a test as it is and finds the place at which a fault strikes, so that both count alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_netfault.faults import UnsupportedFault
from pytest_netfault.framers import Conversation, Message, detect
from pytest_netfault.framers.detect import BYTES_TO_DETECT
from pytest_netfault.proxy.wire import Wire
from pytest_netfault.storm.places import Place, Way
from pytest_netfault.storm.profile import TURN, Exchange, Profile

__all__ = ["ConnectionTraffic", "Traffic"]

# Frames that come by the clock or by how fast somebody reads, and not because a test asked for something.
_HOUSEKEEPING = {
    "amqp": frozenset({"heartbeat"}),
    "http2": frozenset(
        {
            "preface", "SETTINGS", "SETTINGS ack", "PING", "PING ack", "WINDOW_UPDATE", "PRIORITY", "GOAWAY",
            "PRIORITY_UPDATE", "RST_STREAM",
        }
    ),
    "mqtt": frozenset({"PINGREQ", "PINGRESP"}),
    "nats": frozenset({"PING", "PONG"}),
    "zookeeper": frozenset({"ping", "ping reply"}),
}  # fmt: skip
# A test that exchanges more than this has places enough.
_EXCHANGES_KEPT = 20_000


class Traffic:
    """What all connections of all links exchange, from now on.

    Args:
        protocols: what each connection speaks, as it was learned; None to find out.
        place: where to strike, if anywhere.
        offset: how many bytes behind the beginning of the exchange there.

    Attributes:
        struck: the connection that has met the place: the link's name and the connection's number there.
    """

    def __init__(
        self, protocols: Sequence[str | None] | None = None, place: Place | None = None, offset: int = 0
    ) -> None:
        self.protocols = protocols
        self.place = place
        self.offset = offset
        self.struck: tuple[str, int] | None = None
        self.silent_until = 0.0
        self.exchanges: list[Exchange] = []
        self.overflow = False
        self._connections: dict[tuple[str, int], ConnectionTraffic] = {}
        self._seen = 0

    def of(self, link: str, number: int, wire: Wire | None, *, fresh: bool) -> ConnectionTraffic:
        """The traffic of one connection; both of its directions share it.

        Args:
            link: its link's name, or whatever tells links apart.
            number: of the connection on the link.
            wire: what it has delivered before.
            fresh: whether it has delivered nothing before.
        """
        key = (link, number)
        if key not in self._connections:
            self._connections[key] = ConnectionTraffic(self, key, wire, fresh=fresh)
        return self._connections[key]

    def next_rank(self) -> int:
        """A connection carries its first bytes."""
        self._seen += 1
        return self._seen

    def note(self, exchange: Exchange) -> int:
        """Record an exchange; returns where it stands, to be replaced while it grows."""
        if len(self.exchanges) < _EXCHANGES_KEPT:
            self.exchanges.append(exchange)
            return len(self.exchanges) - 1
        self.overflow = True
        return -1

    def profile(self, seconds: float) -> Profile:
        """What was seen, once the test is over."""
        connections = [one for one in list(self._connections.values()) if one.rank]
        for one in connections:
            one.settle()
        ranked = sorted(connections, key=lambda one: one.rank)
        order = sorted(self.exchanges, key=lambda one: one.connection) if self.overflow else self.exchanges
        return Profile(seconds, tuple(one.protocol for one in ranked), tuple(order))


class ConnectionTraffic:
    """What one connection exchanges.

    Attributes:
        rank: which one it is, in the order in which they first carried something; 0 before that.
        protocol: what it speaks; None where that is not known.
        forgotten: whether it is mute for good.
    """

    def __init__(self, traffic: Traffic, key: tuple[str, int], wire: Wire | None, *, fresh: bool) -> None:
        self.rank = 0
        self.protocol: str | None = None
        self.forgotten = False
        self.key = key
        self._traffic = traffic
        self._wire = wire
        self._fresh = fresh
        self._conversation: Conversation | None = None
        self._base = {"up": 0, "down": 0}  # where the conversation stood at the beginning
        self._undecided: list[tuple[Way, bytes]] | None = None  # what came while the protocol is not known
        self._countable = True
        self._passed = {"up": 0, "down": 0}
        self._start = {"up": 0, "down": 0}  # where the exchange begins that is under way
        self._done = {"up": 0, "down": 0}  # exchanges that have ended; turns that have begun
        self._last: Way | None = None
        self._turn_at = -1
        self._inner = ""  # the newest message inside a frame that has not ended
        self._target: int | None = None

    def feed(self, way: Way, data: bytes | memoryview) -> int | None:
        """The next bytes of a direction; returns how many of them pass before the fault strikes, if it does here."""
        data = bytes(data)
        if not data:
            return None
        if not self.rank:
            self.rank = self._traffic.next_rank()
            self._begin()
        base = self._passed[way]
        self._passed[way] += len(data)
        if self._undecided is not None:
            self._undecided.append((way, data))
            self._decide(over=False)
            return None
        if not self._countable:
            return None
        if self._conversation is None:
            self._take_turn(way, base, data)
        else:
            self._take_frames(self._conversation, way, data)
        return self._strike(way, base, len(data))

    def settle(self) -> None:
        """Nothing comes any more: decide what it was."""
        if self._undecided is not None:
            self._decide(over=True)

    def _begin(self) -> None:
        learned = self._traffic.protocols
        if learned is None:
            if self._fresh:
                self._undecided = []
                return
            self.protocol = None if self._wire is None else self._wire.frames().protocol
        elif self.rank <= len(learned):
            self.protocol = learned[self.rank - 1]
        if self.protocol is None:
            return
        if self._fresh:
            self._conversation = Conversation(self.protocol)
            return
        try:
            assert self._wire is not None
            self._conversation = self._wire.conversation(self.protocol)
        except (UnsupportedFault, AssertionError):
            self._countable = False
            return
        for way in ("up", "down"):
            self._base[way] = self._conversation.framer(way).seen

    def _decide(self, *, over: bool) -> None:
        """Find out what a new connection speaks, and count what has come meanwhile."""
        assert self._undecided is not None
        up, down = (
            b"".join(data for one, data in self._undecided if one == way)[:BYTES_TO_DETECT]
            for way in ("up", "down")
        )
        found = detect(up, down)
        if found is None and not over:
            return
        came, self._undecided = self._undecided, None
        if found:
            self.protocol = found
            self._conversation = Conversation(found)
        self._passed = {"up": 0, "down": 0}
        for way, data in came:
            base = self._passed[way]
            self._passed[way] += len(data)
            if self._conversation is None:
                self._take_turn(way, base, data)
            else:
                self._take_frames(self._conversation, way, data)

    def _take_turn(self, way: Way, base: int, data: bytes) -> None:
        if self._last != way:
            self._last = way
            self._done[way] += 1
            self._start[way] = base
            self._aim(way, self._done[way])
            self._turn_at = self._traffic.note(Exchange(self.rank, way, TURN, len(data)))
        elif self._turn_at >= 0:
            before = self._traffic.exchanges[self._turn_at]
            grown = Exchange(before.connection, way, TURN, before.size + len(data))
            self._traffic.exchanges[self._turn_at] = grown

    def _take_frames(self, conversation: Conversation, way: Way, data: bytes) -> None:
        if not self._done[way]:
            self._aim(way, 1)
        for message in conversation.feed(way, data):
            if message.index is None:
                self._inner = message.type
                continue
            if message.type in _HOUSEKEEPING.get(conversation.protocol, ()):
                continue
            self._done[way] += 1
            self._start[way] = message.end - self._base[way]
            self._traffic.note(self._exchange(way, message))
            self._inner = ""
            self._aim(way, self._done[way] + 1)

    def _exchange(self, way: Way, message: Message) -> Exchange:
        named = self._inner if message.type == "DATA" and self._inner else message.type
        return Exchange(self.rank, way, named, message.end - message.start)

    def _aim(self, way: Way, number: int) -> None:
        """An exchange begins where ``_start`` says: it may be the one."""
        place = self._traffic.place
        if (
            place is not None
            and self._target is None
            and (place.connection, place.way, place.number) == (self.rank, way, number)
        ):
            self._target = self._start[way] + (self._traffic.offset if place.inside else 0)

    def _strike(self, way: Way, base: int, size: int) -> int | None:
        place = self._traffic.place
        if (
            place is None
            or self._target is None
            or place.way != way
            or self._traffic.struck is not None
            or self._target >= base + size
        ):
            return None
        self._traffic.struck = self.key
        return max(0, self._target - base)
