"""What can go wrong with a link, as data.

Each fault is a frozen dataclass. It says what is damaged and never how: the proxy reads these values and
does the damage, schedules draw them, reports print them, and ``repr()`` of one is the expression that makes
it again.

Rules of this file:

* Only the standard library, and no I/O.
* A fault that exists is a valid one. Every argument is checked when the object is made, and the message
  names the argument, the value and what would be valid.
* Times are seconds, sizes are bytes, rates are bytes per second, probabilities lie between 0 and 1.
* ``direction`` is ``"up"`` (client to server), ``"down"`` (server to client) or ``"both"``.

>>> Delay(0.1, jitter=0.02)
Delay(0.1, jitter=0.02)
>>> Delay(-1)
Traceback (most recent call last):
    ...
ValueError: seconds must be at least 0, not -1
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "FAULTS",
    "Blackhole",
    "Corrupt",
    "Cut",
    "CutHow",
    "Delay",
    "Direction",
    "Fault",
    "Forget",
    "Lose",
    "OnHeal",
    "Refuse",
    "Reset",
    "Sever",
    "Slice",
    "StallAccept",
    "Throttle",
    "UnsupportedFault",
    "directions_of",
    "fault_from_json",
    "fault_to_json",
    "shown",
]

Direction = Literal["up", "down", "both"]
OnHeal = Literal["resume", "sever", "reset"]
CutHow = Literal["fin", "rst", "blackhole"]

# A delay of more than a day is a slip of units (milliseconds passed as seconds), never a wish.
_LONGEST_SECONDS = 86_400.0
# Stream positions and rates are carried as 64-bit numbers in traces read by other tools.
_LARGEST_COUNT = 2**63 - 1
# A value that is longer than this explains nothing in a message.
_LONGEST_SHOWN = 80


class UnsupportedFault(RuntimeError):
    """This machine cannot do the fault that was asked for; the message says why and what would help."""

    __module__ = "pytest_netfault"  # where users import it from, and short in a summary


def shown(value: object) -> str:
    """A value for a message: its ``repr``, cut short, also where that would fail (Python prints no huge numbers).

    >>> print(shown(b"x" * 30_000)[-12:], len(shown("x" * 30_000)))
    xxxxxxxxx... 80
    >>> shown(10**10_000)
    'a number of 33220 bits'
    """
    try:
        text = repr(value)
    except ValueError:
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else object.__repr__(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _number(name: str, value: object, *, least: float, most: float, above: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if not isinstance(value, int) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {shown(value)}")
    if value < least or (above and value <= least):
        raise ValueError(
            f"{name} must be {'more than' if above else 'at least'} {least:g}, not {shown(value)}"
        )
    if value > most:
        raise ValueError(f"{name} must be at most {most:g}, not {shown(value)}")


def _seconds(name: str, value: object) -> None:
    _number(name, value, least=0, most=_LONGEST_SECONDS)


def _count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if not least <= value <= _LARGEST_COUNT:
        raise ValueError(f"{name} must be at least {least} and at most 2**63 - 1, not {shown(value)}")


def _choice(name: str, value: object, choices: Iterable[str]) -> None:
    choices = tuple(choices)
    listed = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {listed}, not {shown(value)}")
    if value not in choices:
        raise ValueError(f"{name} must be {listed}, not {shown(value)}")


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")


class Fault:
    """What every fault has in common: it prints as the shortest expression that makes it again.

    The faults of this module are its subclasses. A fault of your own subclasses
    :class:`pytest_netfault.proxy.CustomFault` instead, which says what it does to the bytes.
    """

    __slots__ = ()

    def check(self) -> None:
        """Raise what is wrong with a fault that cannot be applied, before anything is done with it.

        Raises:
            TypeError: it is none of ours, nor a custom fault.
        """
        if type(self) not in FAULTS:
            raise TypeError(
                f"{type(self).__name__} is no fault that could be applied; a fault of your own is a subclass of "
                "pytest_netfault.proxy.CustomFault"
            )

    def __repr__(self) -> str:
        shown = []
        fields: tuple[dataclasses.Field[Any], ...] = ()
        if hasattr(self, "__dataclass_fields__"):  # a CustomFault may have forgotten the decorator
            fields = dataclasses.fields(self)  # type: ignore[arg-type]
        for number, field in enumerate(fields):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING and number == 0:
                shown.append(repr(value))
            elif value != field.default:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Sever(Fault):
    """Open connections end in order (FIN both ways); new ones are refused."""


@dataclass(frozen=True, repr=False)
class Reset(Fault):
    """Open connections end at once with RST; new ones are served, so there is nothing to heal."""


@dataclass(frozen=True, repr=False)
class Refuse(Fault):
    """New connections are refused; open ones live on."""


@dataclass(frozen=True, repr=False)
class Blackhole(Fault):
    """Silence: nothing passes, nothing is closed, new connections hang.

    Args:
        direction: which way is silent.
        packets: let the kernel drop the segments themselves, SYN included, so that the peer retransmits and
            times out as on a dead network (Linux only).
        on_heal: what becomes of the held bytes: ``"resume"`` hands them over late and whole, ``"sever"``
            ends the connections in order, ``"reset"`` ends them with RST.
    """

    direction: Direction = "both"
    packets: bool = False
    on_heal: OnHeal = "resume"

    def __post_init__(self) -> None:
        _choice("direction", self.direction, ("up", "down", "both"))
        _flag("packets", self.packets)
        _choice("on_heal", self.on_heal, ("resume", "sever", "reset"))


@dataclass(frozen=True, repr=False)
class Delay(Fault):
    """Latency without a limit of bandwidth; order is kept, and FIN and RST are late alike.

    Args:
        seconds: how late each byte is. In both directions a round trip gains twice that.
        jitter: each chunk is late by a time drawn evenly from ``seconds`` +- ``jitter``, never below 0.
        direction: which way is late.
    """

    seconds: float
    jitter: float = 0
    direction: Direction = "both"

    def __post_init__(self) -> None:
        _seconds("seconds", self.seconds)
        _seconds("jitter", self.jitter)
        _choice("direction", self.direction, ("up", "down", "both"))


@dataclass(frozen=True, repr=False)
class Throttle(Fault):
    """At most this rate, for each connection and direction; no allowance is saved while idle."""

    bytes_per_second: float
    direction: Direction = "both"

    def __post_init__(self) -> None:
        _number("bytes_per_second", self.bytes_per_second, least=0, above=True, most=_LARGEST_COUNT)
        _choice("direction", self.direction, ("up", "down", "both"))


@dataclass(frozen=True, repr=False)
class Slice(Fault):
    """Segments of at most ``size`` bytes, ``gap`` seconds apart."""

    size: int
    gap: float = 0
    direction: Direction = "both"

    def __post_init__(self) -> None:
        _count("size", self.size, least=1)
        _seconds("gap", self.gap)
        _choice("direction", self.direction, ("up", "down", "both"))


@dataclass(frozen=True, repr=False)
class Corrupt(Fault):
    """Bytes are changed in flight: each with this probability, by its position in the stream."""

    probability: float
    direction: Direction = "both"

    def __post_init__(self) -> None:
        _number("probability", self.probability, least=0, most=1)
        _choice("direction", self.direction, ("up", "down", "both"))


@dataclass(frozen=True, repr=False)
class Lose(Fault):
    """Real packet loss: the kernel drops segments with this probability, and TCP retransmits (Linux only)."""

    probability: float
    direction: Direction = "both"

    def __post_init__(self) -> None:
        _number("probability", self.probability, least=0, most=1)
        _choice("direction", self.direction, ("up", "down", "both"))


@dataclass(frozen=True, repr=False)
class Cut(Fault):
    """When exactly ``after_bytes`` bytes of a direction of a connection were delivered, it is cut there.

    Args:
        after_bytes: counted from the start of each connection; bytes that a fault added or swallowed do not
            count. 0 cuts at once, and so does a position that was passed already.
        direction: whose bytes count; with ``"both"`` whichever direction gets there first.
        connection: the number of the one connection to cut; None cuts each of them.
        how: ``"fin"`` ends the connection in order, ``"rst"`` with RST once the bytes before the cut are
            acknowledged, ``"blackhole"`` lets nothing pass any more and closes nothing.
    """

    after_bytes: int
    direction: Direction = "both"
    connection: int | None = None
    how: CutHow = "fin"

    def __post_init__(self) -> None:
        _count("after_bytes", self.after_bytes, least=0)
        _choice("direction", self.direction, ("up", "down", "both"))
        if self.connection is not None:
            _count("connection", self.connection, least=1)
        _choice("how", self.how, ("fin", "rst", "blackhole"))


@dataclass(frozen=True, repr=False)
class StallAccept(Fault):
    """Connecting hangs; open connections live on."""


@dataclass(frozen=True, repr=False)
class Forget(Fault):
    """Every flow that is open now is mute for good, both ways, and nothing is closed; new connections are served.

    What a NAT, a firewall or a load balancer does that has forgotten a flow. There is nothing to heal.

    Args:
        packets: let the kernel drop the segments of those flows, so that a peer's keepalive and its
            ``TCP_USER_TIMEOUT`` find out (Linux only). Without it the link's kernel still acknowledges.
    """

    packets: bool = False

    def __post_init__(self) -> None:
        _flag("packets", self.packets)


FAULTS: tuple[type[Fault], ...] = (
    Sever,
    Reset,
    Refuse,
    Blackhole,
    Delay,
    Throttle,
    Slice,
    Corrupt,
    Lose,
    Cut,
    StallAccept,
    Forget,
)

_BY_NAME = {kind.__name__.lower(): kind for kind in FAULTS}


def directions_of(fault: Fault) -> tuple[Literal["up", "down"], ...]:
    """The directions that a fault claims; both for a fault that has none to choose.

    >>> directions_of(Delay(1, direction="up"))
    ('up',)
    >>> directions_of(Sever())
    ('up', 'down')
    """
    direction: Direction = getattr(fault, "direction", "both")
    return ("up", "down") if direction == "both" else (direction,)


def fault_to_json(fault: Fault) -> dict[str, Any]:
    """The fault as a JSON object: its name and the arguments that are not the defaults.

    >>> fault_to_json(Cut(7, how="rst"))
    {'fault': 'cut', 'after_bytes': 7, 'how': 'rst'}
    """
    made: dict[str, Any] = {"fault": type(fault).__name__.lower()}
    for field in dataclasses.fields(fault):  # type: ignore[arg-type]
        value = getattr(fault, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            made[field.name] = value
    return made


def fault_from_json(data: object) -> Fault:
    """The fault that :func:`fault_to_json` wrote.

    Raises:
        ValueError: the object names no fault, or an argument that the fault does not have, or a value that
            it does not take.

    >>> fault_from_json({"fault": "blackhole", "direction": "up"})
    Blackhole(direction='up')
    """
    if not isinstance(data, dict):
        raise ValueError(f"a fault must be a JSON object, not {shown(data)}")
    arguments = dict(data)
    name = arguments.pop("fault", None)
    kind = _BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"fault must be one of {', '.join(sorted(_BY_NAME))}, not {shown(name)}")
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(map(str, set(arguments) - known))
    if unknown:
        raise ValueError(
            f"{name} takes {', '.join(sorted(known)) or 'no arguments'}, not {', '.join(unknown)}"
        )
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
