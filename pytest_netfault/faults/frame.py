"""A place in a stream that has a name: in which frame of a protocol, and where in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pytest_netfault.faults.arguments import count, shown
from pytest_netfault.framers.names import PROTOCOLS, protocol_named

__all__ = ["Frame", "Where", "check_frames"]

Where = Literal["start", "middle", "end"] | int
_WHERE = ("start", "middle", "end")


@dataclass(frozen=True, init=False, repr=False)
class Frame:
    """A place in one direction of a connection: in a frame of the protocol that it speaks.

    ``Frame("http2", "Watch response", index=2, where="middle")`` is inside the second message that a watch of etcd
    gets, ``Frame("resp", 3)`` before the third command or reply. Frames are counted from the beginning of each
    connection, in each direction by itself. The page on faults lists the types of each protocol.

    Args:
        protocol: ``"resp"``, ``"postgres"``, ``"http1"``, ``"http2"`` (with gRPC inside it), ``"amqp"``, ``"mqtt"``,
            ``"nats"`` or ``"zookeeper"``; other names of theirs, such as ``"redis"`` or ``"gRPC"``, too.
        which: which frame, from 1, or the type of the frame, whatever its case.
        type: the type of the frame; then the number counts frames of that type.
        where: ``"start"`` is before its first byte, ``"middle"`` behind half of it (of a frame longer than 32 KiB,
            16 KiB behind its start), ``"end"`` behind its last byte; a number is so many bytes behind its start, or,
            if negative, before its end.
        index: the number, if ``which`` is a type.

    Raises:
        TypeError, ValueError: an argument names no place; the message says which, and what would.

    >>> Frame("redis", "message", index=2)
    Frame('resp', 'message', index=2)
    >>> Frame("postgres", 3, where="middle") == Frame("postgres", index=3, where="middle")
    True
    """

    protocol: str
    index: int
    type: str | None
    where: Where

    def __init__(
        self,
        protocol: str,
        which: int | str | None = None,
        type: str | None = None,  # noqa: A002 - that is what it is
        where: Where = "start",
        *,
        index: int | None = None,
    ) -> None:
        if isinstance(which, str):
            if type is not None:
                raise ValueError(f"a frame has one type, not {shown(which)} and {shown(type)}")
            type = which  # noqa: A001
        elif which is not None:
            if index is not None:
                raise ValueError(f"a frame has one index, not {shown(which)} and {shown(index)}")
            index = which
        if index is None and type is None:
            raise ValueError(
                "a Frame names one by its number or its type, as in Frame('resp', 'message', index=2)"
            )
        object.__setattr__(self, "protocol", _protocol(protocol))
        object.__setattr__(self, "index", 1 if index is None else index)
        object.__setattr__(self, "type", type)
        object.__setattr__(self, "where", where)
        count("index", self.index, least=1)
        _check_type(type)
        _check_where(where)

    def __repr__(self) -> str:
        which = repr(self.index) if self.type is None else repr(self.type)
        words = [repr(self.protocol), which]
        if self.type is not None and self.index != 1:
            words.append(f"index={self.index!r}")
        if self.where != "start":
            words.append(f"where={self.where!r}")
        return f"Frame({', '.join(words)})"

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object: its arguments, but for the defaults."""
        made: dict[str, Any] = {"protocol": self.protocol, "index": self.index}
        if self.type is not None:
            made["type"] = self.type
        if self.where != "start":
            made["where"] = self.where
        return made

    @classmethod
    def from_json(cls, data: object) -> Frame:
        """The place that :meth:`to_json` wrote.

        Raises:
            TypeError, ValueError: it is none.
        """
        known = ("protocol", "index", "type", "where")
        if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
            raise TypeError(
                f"at must be a Frame, or a JSON object that says what one does, not {shown(data)}"
            )
        unknown = sorted(set(data) - set(known))
        if unknown or "protocol" not in data:
            raise ValueError(
                f"a Frame in JSON has {', '.join(known)}, not {', '.join(unknown) or 'no protocol'}"
            )
        return cls(**data)

    def complexity(self) -> int:
        """How hard it is to understand, for shrinking: a smaller schedule has simpler faults."""
        where = 0 if self.where == "start" else 1 if isinstance(self.where, str) else 2
        return self.index.bit_length() + where

    def simpler(self) -> Iterator[Frame]:
        """Places that are easier to understand, the boldest first."""
        for index in (1, self.index // 2, self.index - 1):
            if 0 < index < self.index:
                yield Frame(self.protocol, index=index, type=self.type, where=self.where)
        if self.where != "start":
            yield Frame(self.protocol, index=self.index, type=self.type)
        if isinstance(self.where, int):
            yield Frame(self.protocol, index=self.index, type=self.type, where="middle")


def _protocol(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"protocol must be a name such as 'resp', not {shown(value)}")
    found = protocol_named(value)
    if found is None:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {shown(value)}")
    return found


def check_frames(value: object) -> str | bool:
    """What a link is to name: True and False as they are, a protocol by the name that it has here.

    Raises:
        TypeError, ValueError: it is none of them.
    """
    return value if isinstance(value, bool) else _protocol(value)


def _check_type(value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"type must be the name of a type of frames such as 'message', not {shown(value)}")
    if value is not None and not value.strip():
        raise ValueError(f"type must be the name of a type of frames such as 'message', not {shown(value)}")


def _check_where(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"where must be 'start', 'middle', 'end' or a number of bytes, not {shown(value)}")
    if isinstance(value, str) and value not in _WHERE:
        raise ValueError(f"where must be 'start', 'middle', 'end' or a number of bytes, not {shown(value)}")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(f"where must be below 2**63 bytes, not {shown(value)}")
