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
import gc
import json
import math
import weakref
from collections.abc import Callable, Iterable
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
    "MissingFault",
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


def _name_of(kind: type[Fault]) -> str:
    """What JSON calls a class of faults: ours by one lower-case word, those of others by module and name."""
    return kind.__name__.lower() if kind.__module__ == __name__ else f"{kind.__module__}:{kind.__qualname__}"


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_default(field: dataclasses.Field[Any], value: object) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and bool(value == field.default)


# Every class of faults, the oldest first. Weak, because a test may define one in its body. By itself and not by name:
# dataclass(slots=True) names the class that it makes only when this has been told of it.
_subclasses: list[weakref.ref[type[Fault]]] = []


class Fault:
    """What every fault has in common: it prints as the shortest expression that makes it again.

    The faults of this module are its subclasses. A fault of your own subclasses
    :class:`pytest_netfault.proxy.CustomFault` instead, which says what it does to the bytes.
    """

    __slots__ = ()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        _subclasses[:] = [reference for reference in _subclasses if reference() is not None]
        _subclasses.append(weakref.ref(cls))

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
            if _has_no_default(field) and number == 0:
                shown.append(repr(value))
            elif not _is_default(field, value):
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


def _fields(kind: type[Fault]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind) if hasattr(kind, "__dataclass_fields__") else ()  # type: ignore[arg-type]


def fault_to_json(fault: Fault, *, text_ok: bool = False) -> dict[str, Any]:
    """The fault as a JSON object: its name and the arguments that are not the defaults.

    A fault of your own is named by its module and class, so that whoever reads it can have imported the class.

    Args:
        fault: what to write.
        text_ok: write a fault of your own that could not be read back as its name and its expression, for reports.

    Raises:
        TypeError: it is a fault of your own that could not be read back; the message says why.

    >>> fault_to_json(Cut(7, how="rst"))
    {'fault': 'cut', 'after_bytes': 7, 'how': 'rst'}
    """
    if isinstance(fault, MissingFault):
        shown_as = {_EXPRESSION: fault.expression} if fault.expression and text_ok else {}
        return {"fault": fault.name, **json.loads(fault.arguments), **shown_as}
    made: dict[str, Any] = {"fault": _name_of(type(fault))}
    for field in _fields(type(fault)):
        value = getattr(fault, field.name)
        if not _is_default(field, value):
            made[field.name] = value
    if type(fault) not in FAULTS:
        try:
            _check_read_back(fault, made)
        except TypeError:
            if not text_ok:
                raise
            return {"fault": made["fault"], _EXPRESSION: repr(fault)}
    return made


def _check_read_back(fault: Fault, made: dict[str, Any]) -> None:
    cannot = f"{shown(fault)} cannot be written as JSON"
    for name, value in made.items():
        _check_json(value, f"{cannot}: its {name} is {shown(value)}; {_JSON_HOLDS}")
    read = json.loads(json.dumps(made))
    try:
        again = fault_from_json(read)
    except ValueError as error:
        raise TypeError(f"{cannot}: {error}") from error
    if again != fault:
        for name, value in made.items():
            if read[name] != value:
                raise TypeError(f"{cannot}: its {name} would come back as {shown(read[name])}; {_JSON_HOLDS}")
        raise TypeError(f"{cannot}: what is read back is not equal to it; make it a frozen dataclass")


def _check_json(value: object, message: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(message) from error


# How JSON names the expression of a fault that cannot be read back: no argument of a fault can be called that.
_EXPRESSION = "shown as"

_JSON_HOLDS = "JSON holds text, finite numbers, True, False, None, and lists and dicts of them"


def _kind_named(name: object) -> type[Fault]:
    """The class that a name in JSON stands for."""
    if not isinstance(name, str) or (":" not in name and name not in _BY_NAME):
        raise ValueError(f"fault must be one of {', '.join(sorted(_BY_NAME))}, not {shown(name)}")
    if name in _BY_NAME:
        return _BY_NAME[name]
    found = _alive(lambda kind: _name_of(kind) == name)
    if not found:  # the file may have been run as a program, or imported by another path
        called = name.partition(":")[2]
        found = _alive(lambda kind: kind.__module__ != __name__ and kind.__qualname__ == called)
    if not found:
        raise ValueError(
            f"there is no fault {shown(name)} in this process; import the module that defines its class first"
        )
    if len(found) > 1:
        raise ValueError(
            f"{len(found)} classes of faults are called {shown(name)}; give each a name of its own"
        )
    return found[0]


def _alive(meant: Callable[[type[Fault]], bool]) -> list[type[Fault]]:
    def look() -> list[type[Fault]]:
        alive = (kind for reference in list(_subclasses) if (kind := reference()) is not None)
        # dataclass(slots=True) makes a second class with the methods of the first, which nobody uses any more.
        return list({id(kind.__init__): kind for kind in alive if meant(kind)}.values())

    if len(found := look()) > 1:  # a class is garbage only once the collector has seen it
        del found
        gc.collect()
        return look()
    return found


@dataclass(frozen=True, repr=False)
class MissingFault(Fault):
    """A fault of somebody's own whose class is not in this process: it can be shown and written again, not applied."""

    name: str
    arguments: str
    expression: str = ""  # of one whose arguments JSON cannot hold

    def check(self) -> None:
        """See :meth:`Fault.check`."""
        _kind_named(self.name)

    def __repr__(self) -> str:
        if self.expression:
            return self.expression
        given = ", ".join(f"{name}={value!r}" for name, value in json.loads(self.arguments).items())
        return f"{self.name.rpartition('.')[2].rpartition(':')[2]}({given})"


def fault_from_json(data: object, *, missing_ok: bool = False) -> Fault:
    """The fault that :func:`fault_to_json` wrote.

    Args:
        data: a JSON object.
        missing_ok: read a fault whose class is not in this process, too, as one that cannot be applied.

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
    if missing_ok and isinstance(name, str) and isinstance(arguments.get(_EXPRESSION), str):
        return MissingFault(name, "{}", arguments[_EXPRESSION])
    try:
        kind = _kind_named(name)
    except ValueError:
        if missing_ok and isinstance(name, str) and ":" in name:
            return MissingFault(name, json.dumps(arguments))
        raise
    known = {field.name for field in _fields(kind)}
    unknown = sorted(map(str, set(arguments) - known))
    if unknown:
        raise ValueError(
            f"{name} takes {', '.join(sorted(known)) or 'no arguments'}, not {', '.join(unknown)}"
        )
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
