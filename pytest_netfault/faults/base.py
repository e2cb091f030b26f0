"""What a fault is, and what each class of faults declares about itself.

Whoever applies, draws, shrinks or reports a fault asks it, and never which class it is of. What holds for every fault
of a class is its :class:`Traits`; what depends on its arguments is a method of :class:`Fault`. All of it is data and
pure functions: how the damage is done is written in :mod:`pytest_netfault.proxy`.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, cast

from pytest_netfault.faults import limits
from pytest_netfault.faults.arguments import Direction
from pytest_netfault.faults.limits import ConnectionNumbers, Limits

__all__ = ["Chance", "Fault", "OnHeal", "Traits", "directions_of", "is_built_in", "limits_of"]

OnHeal = Literal["resume", "sever", "reset"]
ROOM = __name__.rpartition(".")[0]
T = TypeVar("T")
Self = TypeVar("Self", bound="Fault")  # typing.Self needs Python 3.11

# Every class of faults, the oldest first. Weak, because a test may define one in its body. The classes themselves and
# not their names: dataclass(slots=True) renames the class that it makes only after it was registered here.
subclasses: list[weakref.ref[type[Fault]]] = []


@dataclass(frozen=True)
class Traits:
    """What holds for every fault of a class, whatever its arguments.

    Attributes:
        effect: what it does, for a reader who has never heard of it.
        listener: what happens to new connections while it holds. Where faults disagree, ``"hang"`` prevails over
            ``"refuse"``, because on a silent network a refusal would not arrive either.
        connections: what happens to open ones: ``"keep"`` (but for what its stage does), ``"silence"`` (its stage lets
            nothing pass while it holds), ``"sever"``, ``"reset"`` or ``"forget"`` at once. After the last two there is
            nothing to heal.
        kernel: it can only be done by a kernel that drops segments.
        drawn: whether schedules contain it without being asked for it.
        weight: how often it is drawn beside others. What ends or silences a connection is what loses updates; what only
            slows it down widens the moments in which that can happen.
        mild: a subscriber can usually subscribe through it.
        keeps_away: it keeps a subscriber away until it is healed.
        synonyms: what other tools call it, separated by spaces.
    """

    effect: str = ""
    listener: Literal["serve", "refuse", "hang"] = "serve"
    connections: Literal["keep", "silence", "sever", "reset", "forget"] = "keep"
    kernel: bool = False
    drawn: bool = True
    weight: int = 1
    mild: bool = False
    keeps_away: bool = False
    synonyms: str = ""

    @property
    def momentary(self) -> bool:
        """Whether it has done all that it does when it is applied, so that there is nothing to heal."""
        return self.connections in ("reset", "forget")


@dataclass(frozen=True)
class Chance:
    """Where the arguments of a drawn fault come from.

    The smaller the numbers, the simpler the fault: the first alternative of each choice is the simplest.

    Attributes:
        randrange: returns a whole number from 0 to ``n - 1``.
        packets: whether the kernel can drop packets here.
        protocol: what the client speaks, if its frames are to be places of cuts.
    """

    randrange: Callable[[int], int]
    packets: bool = True
    protocol: str | None = None

    def one(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.randrange(len(options))]

    def once_in(self, times: int) -> bool:
        """True once in so many times."""
        return self.randrange(times) == times - 1


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Fault:
    """What every fault has in common: its limits, and that it prints as the shortest expression that makes it again.

    The faults of this package are its subclasses. A fault of your own subclasses
    :class:`pytest_netfault.proxy.CustomFault` instead, which says what it does to the bytes. Everything below has a
    default that is right for a fault that only changes what passes; override what is different.

    Attributes:
        traits: what holds for all faults of the class.
        on_heal: what happens to the connections that it acted on: ``"resume"`` passes on what was held, ``"sever"`` and
            ``"reset"`` end them.

    Args:
        seconds: it heals itself after that time. A fault that has an argument of this name of its own, such as
            ``Delay``, calls this one ``heal_after``.
        connections: the number, or the numbers, of the connections that it holds for, counted from 1 in the order in
            which they were accepted: ``range(1, 3)`` for the first two. An attempt that such a fault refuses has its
            number too.
        share: the share of connections that it holds for, between 0 and 1; which, the seed and their numbers decide.

    >>> from pytest_netfault.faults import Reset, Sever
    >>> Sever(seconds=2, connections=[2, 1])
    Sever(seconds=2, connections=range(1, 3))
    >>> Reset(seconds=2)
    Traceback (most recent call last):
        ...
    ValueError: Reset is over as soon as it is applied, so seconds=2 has no meaning; leave it out
    """

    traits: ClassVar[Traits] = Traits()
    # Without an annotation, which would make an argument of it.
    on_heal = cast("OnHeal", "resume")  # type: ignore[redundant-cast]

    seconds: float | None = None
    connections: ConnectionNumbers = None
    share: float | None = None

    def __post_init__(self) -> None:
        self.check_limits()

    def check_limits(self) -> None:
        """Raise what is wrong with the limits; those of connections are brought into the one form that is kept.

        Raises:
            TypeError, ValueError: a limit is none, or has no meaning for this fault.
        """
        if "connections" in limit_names(type(self)):
            numbers = limits.canonical_connections(getattr(self, "connections", None))
            if numbers is not getattr(self, "connections", None):
                object.__setattr__(self, "connections", numbers)
        for name in limit_names(type(self)) & {"seconds", "heal_after"}:
            value = getattr(self, name, None)
            limits.check_lifetime(name, value)
            if value is not None and self.traits.momentary:
                raise ValueError(
                    f"{type(self).__name__} is over as soon as it is applied, so {name}={value!r} has no meaning; "
                    "leave it out"
                )
        if "share" in limit_names(type(self)):
            limits.check_share(getattr(self, "share", None))

    def attempts_to_refuse(self) -> int | None:
        """How many attempts to connect it refuses before it is healed; None for any number."""
        return None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        subclasses[:] = [reference for reference in subclasses if reference() is not None]
        subclasses.append(weakref.ref(cls))

    def check(self) -> None:
        """Raise what is wrong with a fault that cannot be applied, before anything is done with it.

        Raises:
            TypeError: it is none of ours, nor a custom fault.
        """
        if not is_built_in(type(self)) or type(self) is Fault:
            raise TypeError(
                f"{type(self).__name__} is no fault that could be applied; a fault of your own is a subclass of "
                "pytest_netfault.proxy.CustomFault"
            )

    # -- while it holds -------------------------------------------------------------------------------------

    def needs_filters(self) -> bool:
        """Whether the kernel must be able to drop segments."""
        return self.traits.kernel or self.packet_loss() is not None

    def packet_loss(self) -> float | None:
        """The share of segments that the kernel drops while it holds; None if it leaves that to TCP."""
        return None

    def stops_traffic(self, *, met: bool) -> bool:
        """Whether nothing, or nothing new, can come through while it holds; ``met`` if it has met traffic."""
        return self.traits.listener != "serve"

    def ends_connections(self) -> bool:
        """Whether a client reconnects after it."""
        return self.traits.connections in ("sever", "reset") or self.on_heal != "resume"

    def kills_flow(self) -> bool:
        """Whether an open flow is dead for good while new connections work, if the fault is not healed."""
        return self.traits.connections == "forget"

    def takes_effect_at(self) -> tuple[int, Direction] | None:
        """How many bytes of a connection must pass, and in which direction, before it does anything."""
        return None

    def numbered_after(self: Self, count: int) -> Self:
        """The same fault where connections are numbered from 1 behind the first ``count``."""
        changes: dict[str, Any] = {}
        for field in fields_of(type(self)):
            numbers = getattr(self, field.name, None)
            if field.name not in ("connection", "connections") or numbers is None:
                continue
            if isinstance(numbers, range):
                changes[field.name] = range(numbers.start + count, numbers.stop + count, numbers.step)
            elif isinstance(numbers, int):
                changes[field.name] = numbers + count
            else:
                changes[field.name] = tuple(number + count for number in numbers)
        return dataclasses.replace(self, **changes) if changes else self

    def names_one_connection(self) -> bool:
        """Whether it holds for one connection only, given by its number."""
        return any(isinstance(getattr(self, name, None), int) for name in ("connection", "connections"))

    def has_a_place(self) -> bool:
        """Whether it takes effect at one place of a stream, which a story then names."""
        return self.takes_effect_at() is not None or self.counts_frames_of() is not None

    def counts_frames_of(self) -> str | None:
        """The protocol whose frames it counts from the beginning of each connection; None if it counts none."""
        return None

    def leaves_trace(self) -> bool:
        """Whether it is always seen that it met traffic; if not, "it met nothing" cannot be said of it.

        The kernel refuses connections and drops segments without telling anybody. Such a fault is excused if a client
        has used the link in the same test, before, while or after it held, or if the kernel may have refused one.
        """
        return self.packet_loss() is None and (self.traits.listener != "refuse" or limits_of(self).some)

    # -- drawing and shrinking --------------------------------------------------------------------------------

    @classmethod
    def draw(cls: type[Self], chance: Chance) -> Self:  # noqa: ARG003 - of those that have arguments
        """One of these faults, with arguments that are worth trying."""
        return cls()

    def draw_limits(self, chance: Chance) -> Mapping[str, Any]:
        """Limits that are worth trying, as arguments: one for connections, for a share of them, or for a time.

        Few connections come while a schedule is played, and most outages in it last less than half a second.
        """
        names = limit_names(type(self))
        options: list[Mapping[str, Any]] = []
        if "connections" in names:
            options.append({"connections": chance.one((1, 2, range(1, 3), range(2, 4)))})
        if "share" in names:
            options.append({"share": chance.one((0.5, 0.75, 0.25))})
        if not self.traits.momentary:
            options += [{name: chance.one((0.3, 0.1, 0.03))} for name in names & {"seconds", "heal_after"}]
        return chance.one(options) if options else {}

    def complexity(self) -> int:
        """How hard it is to understand; a smaller schedule has simpler faults."""
        return 3 + repr(self).count("=")

    def simpler(self) -> Iterator[Fault]:
        """Candidates for a simpler fault of this class, the boldest first; which are simpler, ``complexity`` says."""
        return iter(())

    def sooner(self) -> Iterator[Fault]:
        """The same fault, taking effect after less traffic: where there are fewer steps, fewer bytes pass."""
        return iter(())

    def __repr__(self) -> str:
        shown = []
        for number, argument in enumerate(fields_of(type(self))):
            value = getattr(self, argument.name, None)
            first = number == 0 and has_no_default(argument)
            if first or (argument.metadata.get("positional") and not is_default(argument, value)):
                shown.append(repr(value))
            elif not is_default(argument, value):
                shown.append(f"{argument.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


# What is left in the class would become the default of an argument of the same name in a subclass, such as Delay.
_LIMITS = dataclasses.fields(Fault)
for _field in _LIMITS:
    delattr(Fault, _field.name)


def is_built_in(kind: type[Fault]) -> bool:
    """Whether a class of faults is one of this package."""
    return kind.__module__ == ROOM or kind.__module__.startswith(f"{ROOM}.")


def directions_of(fault: Fault) -> tuple[Literal["up", "down"], ...]:
    """The directions that a fault claims; both for a fault that has none to choose.

    >>> from pytest_netfault.faults import Delay, Sever
    >>> directions_of(Delay(1, direction="up"))
    ('up',)
    >>> directions_of(Sever())
    ('up', 'down')
    """
    direction: Direction = getattr(fault, "direction", "both")
    return ("up", "down") if direction == "both" else (direction,)


def limit_names(kind: type[Fault]) -> frozenset[str]:
    """The arguments of a class that are limits: those of every fault, but where its own have the same name.

    >>> from pytest_netfault.faults import Delay
    >>> sorted(limit_names(Delay))
    ['connections', 'heal_after', 'share']
    """
    fields = kind.__dataclass_fields__
    names = {field.name for field in _LIMITS if fields[field.name] is field}
    return frozenset(names | ({"heal_after"} & fields.keys() if "seconds" not in names else set()))


def limits_of(fault: Fault) -> Limits:
    """When and for whom a fault holds.

    >>> from pytest_netfault.faults import Delay
    >>> limits_of(Delay(0.1, heal_after=5, share=0.5))
    Limits(seconds=5, connections=None, share=0.5, attempts=None)
    """
    names = limit_names(type(fault))
    has = {name: getattr(fault, name, None) for name in names}  # somebody's own may have another __init__
    return Limits(
        has.get("seconds", has.get("heal_after")),
        has.get("connections"),
        has.get("share"),
        fault.attempts_to_refuse(),
    )


def fields_of(kind: type[Fault]) -> tuple[dataclasses.Field[Any], ...]:
    """The arguments of a class of faults, the limits last."""
    names = limit_names(kind)
    return tuple(sorted(dataclasses.fields(kind), key=lambda field: field.name in names))


def has_no_default(field: dataclasses.Field[Any]) -> bool:
    """Whether the argument must be given."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def is_default(field: dataclasses.Field[Any], value: object) -> bool:
    """Whether the argument need not be given to have this value."""
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and bool(value == field.default)
