"""ZooKeeper: a frame is one request, one response, or one event of a watch.

A request is called by its name (``"getData request"``), its response after it (``"getData response"``), an event by
what happened (``"NodeDataChanged event"``).
"""

from __future__ import annotations

from collections import OrderedDict

from pytest_netfault.framers.base import Framer

__all__ = ["framers"]

_OPERATIONS = {
    0: "notification", 1: "create", 2: "delete", 3: "exists", 4: "getData", 5: "setData", 6: "getACL", 7: "setACL",
    8: "getChildren", 9: "sync", 11: "ping", 12: "getChildren2", 13: "check", 14: "multi", 15: "create2",
    16: "reconfig", 17: "checkWatches", 18: "removeWatches", 19: "createContainer", 20: "deleteContainer",
    21: "createTTL", 22: "multiRead", 100: "auth", 101: "setWatches", 102: "sasl", 103: "getEphemerals",
    104: "getAllChildrenNumber", 105: "setWatches2", 106: "addWatch", 107: "whoAmI", -11: "closeSession",
}  # fmt: skip
_EVENTS = {
    1: "NodeCreated", 2: "NodeDeleted", 3: "NodeDataChanged", 4: "NodeChildrenChanged", 5: "DataWatchRemoved",
    6: "ChildWatchRemoved", 7: "PersistentWatchRemoved", -1: "session",
}  # fmt: skip
_OF_EVENTS = -1
_MOST_WAITING = 1_000
_LONGEST = 2**28


class _Requests(Framer):
    def __init__(self, waiting: OrderedDict[int, str]) -> None:
        self._waiting = waiting
        super().__init__()

    def begin(self) -> None:
        self.read(4, self._length)

    def _length(self, piece: bytes) -> None:
        size = int.from_bytes(piece, "big")
        if not 8 <= size <= _LONGEST:
            self.lose("a length that no request has")
            return
        self._end = self.seen + size
        if not self.frames:
            self.finish_after(size, "connect request")
        else:
            self._left = size - 8
            self.read(8, self._head)

    def _head(self, piece: bytes) -> None:
        xid, kind = _number(piece[:4]), _number(piece[4:])
        name = _OPERATIONS.get(kind)
        if name is None:
            self.lose("an operation that does not exist")
            return
        self._waiting[xid] = name
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)
        self.finish_after(self._left, f"{name} request")


class _Responses(Framer):
    def __init__(self, waiting: OrderedDict[int, str]) -> None:
        self._waiting = waiting
        super().__init__()

    def begin(self) -> None:
        self.read(4, self._length)

    def _length(self, piece: bytes) -> None:
        size = int.from_bytes(piece, "big")
        if not 16 <= size <= _LONGEST:
            self.lose("a length that no response has")
            return
        self._end = self.seen + size
        if not self.frames:
            self.finish_after(size, "connect response")
        else:
            self._left = size - 16
            self.read(16, self._head)

    def _head(self, piece: bytes) -> None:
        xid = _number(piece[:4])
        if xid == _OF_EVENTS:
            if self._left < 4:
                self.lose("an event without a type")
                return
            self._left -= 4
            self.read(4, self._event)
        else:
            name = self._waiting.pop(xid, None)
            self.finish_after(self._left, "response" if name is None else f"{name} response")

    def _event(self, piece: bytes) -> None:
        name = _EVENTS.get(_number(piece))
        self.finish_after(self._left, "event" if name is None else f"{name} event")


def _number(piece: bytes) -> int:
    return int.from_bytes(piece, "big", signed=True)


def framers() -> tuple[Framer, Framer]:
    """For the two directions of a connection: up, down."""
    waiting: OrderedDict[int, str] = OrderedDict()
    return _Requests(waiting), _Responses(waiting)
