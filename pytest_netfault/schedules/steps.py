"""What a schedule is made of: steps, as data.

Most of them do something: ``Subscribe()``, ``Write("a")``, ``Break(Sever())``, ``Heal()``, ``Compact()``. The others
wait: ``WaitForEvents(2)``, ``WaitForBytes(120, "down")``, ``WaitForConnection()``. So the place of a step is determined
by what has happened, never by the clock. A wait for what cannot happen any more (the subscriber will not see a write
that a black hole holds) is given up after a short while, and that is no failure.

Rules of this file:

* Frozen data and no I/O. A step that exists is a valid one: arguments are checked when it is made.
* ``repr()`` of a step is the shortest expression that makes it again, over names that ``pytest_netfault`` exports.
* Keys are dotted, lower case, and relative to the name space that a run chooses: ``"a"`` becomes ``r0000000017.a``.

>>> from pytest_netfault.faults import Blackhole
>>> Write("a", via="link"), Break(Blackhole("up")), WaitForEvents(2)
(Write('a', via='link'), Break(Blackhole(direction='up')), WaitForEvents(2))
>>> Write("A")
Traceback (most recent call last):
    ...
ValueError: key must be dotted lower-case words such as 'a' or 'billing.limit', not 'A'
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pytest_netfault.faults import Fault, MissingFault, fault_from_json, fault_to_json
from pytest_netfault.faults.arguments import choice, count, flag

__all__ = [
    "STEPS",
    "Break",
    "Compact",
    "Delete",
    "Heal",
    "Pause",
    "Restart",
    "Resume",
    "Step",
    "Subscribe",
    "Via",
    "WaitForBytes",
    "WaitForConnection",
    "WaitForEvents",
    "Write",
    "WriteMany",
    "step_from_json",
    "step_to_json",
    "writes_of",
]

Via = Literal["direct", "link"]
Way = Literal["up", "down"]

_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")


def _key(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    if not _KEY.fullmatch(value):
        raise ValueError(
            f"{name} must be dotted lower-case words such as 'a' or 'billing.limit', not {value!r}"
        )


def _keys(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a tuple of keys, not {value!r}")
    keys = tuple(value)
    for key in keys:
        _key(f"a key of {name}", key)
    return keys


class Step:
    """What every step has in common: it prints as the shortest expression that makes it again."""

    __slots__ = ()
    #: What the step is called in files.
    word: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.word = cls.word or cls.__name__.lower()

    def __repr__(self) -> str:
        shown = []
        for number, field in enumerate(dataclasses.fields(self)):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if number == 0 and value is not None:
                shown.append(repr(value))
            elif value != field.default:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Subscribe(Step):
    """The subject behind the link subscribes to the name space of the run."""


@dataclass(frozen=True, repr=False)
class Write(Step):
    """Put one key.

    Args:
        key: relative to the name space of the run.
        via: ``"direct"``, as another service that reaches the store, or ``"link"``, by the subject itself.
        repeat: write the value that this key was last given once more, instead of a new one.
        beside: write into the neighbouring name space, which nobody has subscribed to.
    """

    key: str
    via: Via = "direct"
    repeat: bool = False
    beside: bool = False

    def __post_init__(self) -> None:
        _key("key", self.key)
        choice("via", self.via, ("direct", "link"))
        flag("repeat", self.repeat)
        flag("beside", self.beside)


@dataclass(frozen=True, repr=False)
class Delete(Step):
    """Delete one key; that there is none is no error."""

    key: str
    via: Via = "direct"

    def __post_init__(self) -> None:
        _key("key", self.key)
        choice("via", self.via, ("direct", "link"))


@dataclass(frozen=True, repr=False)
class WriteMany(Step):
    """Several changes in one transaction, where the subject has ``put_many``; else one after another.

    Args:
        keys: what is put, each with a new value.
        deletes: what is deleted.
        via: as for :class:`Write`.
    """

    keys: tuple[str, ...]
    deletes: tuple[str, ...] = ()
    via: Via = "direct"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", _keys("keys", self.keys))
        object.__setattr__(self, "deletes", _keys("deletes", self.deletes))
        choice("via", self.via, ("direct", "link"))
        named = self.keys + self.deletes
        if not named or len(set(named)) != len(named):
            raise ValueError(f"WriteMany takes at least one key and each only once, not {named!r}")


@dataclass(frozen=True, repr=False)
class Break(Step):
    """Bring one fault into force on the link; faults stack until ``Heal()``.

    Args:
        fault: any fault of :mod:`pytest_netfault.faults`.
        lasting: neither ``Heal()`` nor the end of the run heals it. ``Cut(200, connection=2, how="blackhole")`` that
            lasts is a flow which a router forgot: the subject must notice by itself, within ``notice``. What has no
            end, such as ``Forget()``, is not healed either way.
        in_recovery: the fault waits for what comes after it: its connections are numbered from this step on, 1 is the
            first that is accepted then, and ``Heal()`` leaves it in force. At the end of the run it may still happen; a
            silence that it has made ends half a second later.
    """

    fault: Fault
    lasting: bool = False
    in_recovery: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.fault, Fault):
            raise TypeError(f"fault must be a fault such as Sever(), not {self.fault!r}")
        if not isinstance(self.fault, MissingFault):
            self.fault.check()
            fault_to_json(
                self.fault
            )  # a schedule can be kept, and one that cannot is refused before it is played
        flag("lasting", self.lasting)
        flag("in_recovery", self.in_recovery)
        if self.in_recovery and self.fault.numbered_after(1) == self.fault:
            raise ValueError(
                f"in_recovery must be False for a fault that names no connection, not {self.fault!r}"
            )

    def with_fault(self, fault: Fault) -> Break:
        """The same step with another fault; one that names no connection cannot wait for those of the recovery."""
        named = fault.numbered_after(1) != fault
        return Break(fault, self.lasting, in_recovery=self.in_recovery and named)


@dataclass(frozen=True, repr=False)
class Heal(Step):
    """Heal everything on the link that is broken, does not last, and does not wait for the recovery."""


@dataclass(frozen=True, repr=False)
class Compact(Step):
    """The store forgets its history up to now."""


@dataclass(frozen=True, repr=False)
class Restart(Step):
    """The server is killed and started again with its data."""


@dataclass(frozen=True, repr=False)
class Pause(Step):
    """The server freezes: connections stay open, nothing is answered."""


@dataclass(frozen=True, repr=False)
class Resume(Step):
    """The frozen server goes on."""


@dataclass(frozen=True, repr=False)
class WaitForEvents(Step):
    """Wait until the subscriber has seen ``events`` changes, or, without a number, all that were committed so far."""

    word = "seen"
    events: int | None = None

    def __post_init__(self) -> None:
        if self.events is not None:
            count("events", self.events, least=1)


@dataclass(frozen=True, repr=False)
class WaitForConnection(Step):
    """Wait until a connection was made since the last ``Break`` or ``Restart``."""

    word = "connected"


@dataclass(frozen=True, repr=False)
class WaitForBytes(Step):
    """Wait until ``count`` bytes passed in this direction since the last ``Break`` or ``Restart``."""

    word = "passed"
    count: int
    direction: Way = "down"

    def __post_init__(self) -> None:
        count("count", self.count, least=1)
        choice("direction", self.direction, ("up", "down"))


STEPS: tuple[type[Step], ...] = (
    Subscribe,
    Write,
    Delete,
    WriteMany,
    Break,
    Heal,
    Compact,
    Restart,
    Pause,
    Resume,
    WaitForEvents,
    WaitForConnection,
    WaitForBytes,
)

_BY_WORD = {kind.word: kind for kind in STEPS}


def writes_of(step: Step) -> tuple[str, ...]:
    """The keys that a step changes, in order; none for a step that writes nothing.

    >>> writes_of(WriteMany(("a", "b"), deletes=("c",)))
    ('a', 'b', 'c')
    """
    if isinstance(step, (Write, Delete)):
        return (step.key,)
    if isinstance(step, WriteMany):
        return step.keys + step.deletes
    return ()


def step_to_json(step: Step) -> dict[str, Any]:
    """The step as a JSON object: its name and the arguments that are not the defaults.

    >>> step_to_json(Write("a", via="link"))
    {'step': 'write', 'key': 'a', 'via': 'link'}
    """
    made: dict[str, Any] = {"step": step.word}
    for field in dataclasses.fields(step):  # type: ignore[arg-type]
        value = getattr(step, field.name)
        if isinstance(value, Fault):
            made[field.name] = fault_to_json(value)
        elif field.default is dataclasses.MISSING or value != field.default:
            made[field.name] = list(value) if isinstance(value, tuple) else value
    return made


def step_from_json(data: object, *, missing_ok: bool = False) -> Step:
    """The step that :func:`step_to_json` wrote.

    Raises:
        ValueError: the object names no step, or an argument that the step does not have, or a value that it
            does not take.

    >>> step_from_json({"step": "break", "fault": {"fault": "sever"}})
    Break(Sever())
    """
    if not isinstance(data, dict):
        raise ValueError(f"a step must be a JSON object, not {data!r}")
    arguments = dict(data)
    name = arguments.pop("step", None)
    kind = _BY_WORD.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"step must be one of {', '.join(sorted(_BY_WORD))}, not {name!r}")
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(map(str, set(arguments) - set(known)))
    if unknown:
        raise ValueError(f"{name} takes {', '.join(known) or 'no arguments'}, not {', '.join(unknown)}")
    if "fault" in arguments:
        arguments["fault"] = fault_from_json(arguments["fault"], missing_ok=missing_ok)
    try:
        return kind(**arguments)
    except TypeError as error:
        needed = (field.name for field in dataclasses.fields(kind) if _has_no_default(field))  # type: ignore[arg-type]
        missing = [one for one in needed if one not in arguments]
        why = f"{' and '.join(missing)} must be given" if missing else error
        raise ValueError(f"{name}: {why}") from error


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
