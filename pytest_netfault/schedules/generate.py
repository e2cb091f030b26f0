"""How schedules are drawn: one piece of code, two sources of chance.

A source is a function ``randrange(n)`` that returns a whole number from 0 to ``n - 1``. ``strategies.py`` asks
Hypothesis for it, so that a property shrinks; a proof run takes a seeded generator, because what Hypothesis draws for
a seed depends on its version and on the modules that happen to be loaded, and a seed in a report must mean the same
schedules on every machine:

>>> from pytest_netfault.faults import Sever
>>> mix = FaultMix((Sever,))
>>> seeded(17, 0, mix) == seeded(17, 0, mix)
True

What is drawn is biased to what finds bugs in subscribers: faults around writes, writes while the subscriber is away
and between heal and reconnect, a second fault during the recovery from the first, compaction while it is down,
faults before the first event, a key that is deleted and put in turns, values that repeat.

Pure functions of their source. The smaller the numbers it gives, the simpler the schedule: the
first alternative of each choice is the simplest.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from pytest_netfault.faults import FAULTS, Blackhole, Chance, Cut, Fault, Frame, fault_to_json
from pytest_netfault.faults.damage import CUTS_WITHIN
from pytest_netfault.faults.limiting import with_limits
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import (
    Break,
    Compact,
    Delete,
    Heal,
    Pause,
    Restart,
    Resume,
    Step,
    Subscribe,
    Via,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    Write,
    WriteMany,
)

__all__ = [
    "ALL",
    "MOST_SCENES",
    "Ability",
    "FaultMix",
    "RandRange",
    "draw_break",
    "draw_limits",
    "draw_moment",
    "draw_opening",
    "draw_outage",
    "draw_scene",
    "draw_schedule",
    "draw_writes",
    "seeded",
]

RandRange = Callable[[int], int]
Ability = Literal["compact", "restart", "pause", "many"]
T = TypeVar("T")

# What is drawn unless somebody names faults.
ALL: tuple[type[Fault], ...] = tuple(kind for kind in FAULTS if kind.traits.drawn)

_ABILITIES = ("compact", "restart", "pause", "many")
_KEYS = ("a", "b", "c")
# After the opening. More make a run longer and its story harder to read, and find no more.
MOST_SCENES = 2
# A fault that holds for some connections only, or for a moment, often misses the one that matters.
_LIMITED_ONCE_IN = 10


@dataclass(frozen=True)
class FaultMix:
    """What may be drawn.

    Attributes:
        faults: classes, whose arguments are drawn too, or faults as they are.
        abilities: what the server and the client can do besides: ``"compact"``, ``"restart"``, ``"pause"``, and
            ``"many"`` for a client with ``put_many``.
        packets: whether the kernel can drop packets here, so that ``Forget(packets=True)`` may be drawn.
        protocol: what the client speaks; then half of the cuts fall at places in its frames.

    Raises:
        TypeError: something in ``faults`` is no fault.
        ValueError: there are no faults, or an ability that does not exist.
    """

    faults: tuple[type[Fault] | Fault, ...] = ALL
    abilities: frozenset[Ability] = frozenset()
    packets: bool = True
    protocol: str | None = None

    def __post_init__(self) -> None:
        faults: object = self.faults
        if isinstance(faults, (Fault, type)) or not isinstance(faults, Iterable):
            raise TypeError(f"faults must be a list of faults such as [Sever, Cut(100)], not {faults!r}")
        object.__setattr__(self, "faults", tuple(faults))
        if not self.faults:
            raise ValueError(
                "faults must name at least one fault, such as Sever; without any nothing is proved"
            )
        for fault in self.faults:
            _check(fault)
        if self.protocol is not None:
            object.__setattr__(self, "protocol", Frame(self.protocol, 1).protocol)
        object.__setattr__(self, "abilities", frozenset(self.abilities))
        for ability in self.abilities:
            if ability not in _ABILITIES:
                raise ValueError(f"abilities are {', '.join(_ABILITIES)}, not {ability!r}")


def _check(fault: object) -> None:
    """Raise what keeps a fault, or a class of faults, from being drawn, played and kept."""
    if isinstance(fault, type) and issubclass(fault, Fault) and fault not in FAULTS and fault is not Fault:
        name = fault.__name__
        try:
            fault = fault.draw(Chance(lambda _: 0))
        except TypeError as error:
            raise TypeError(
                f"faults: {name} needs arguments, and only you know which are worth drawing; give instances of it, "
                f"such as {name}(...), instead of the class, or let {name}.draw(chance) choose them"
            ) from error
    if isinstance(fault, Fault):
        fault.check()
        fault_to_json(fault)
    elif fault not in FAULTS:
        raise TypeError(f"faults must hold faults such as Sever or Cut(100), not {fault!r}")


def seeded(seed: int, number: int, mix: FaultMix) -> Schedule:
    """The schedule with this number of a run with this seed; each is independent of those before it."""
    # Limits have a source of their own, so that a schedule is the same but for them with and without.
    return draw_schedule(
        random.Random(f"netfault {seed} {number}").randrange,
        mix,
        limits=random.Random(f"netfault {seed} {number} limits").randrange,
    )


def draw_schedule(randrange: RandRange, mix: FaultMix, *, limits: RandRange | None = None) -> Schedule:
    """Draw one schedule.

    Args:
        randrange: the source of chance.
        mix: what may be drawn.
        limits: the source for the limits of faults, if it is another.

    >>> from pytest_netfault.faults import Sever
    >>> draw_schedule(lambda n: 0, FaultMix((Sever,)))
    Schedule([Subscribe(), Break(Sever()), Write('a'), Heal()])
    """
    steps = [*draw_opening(randrange, mix), *draw_outage(randrange, mix)]
    for _ in range(MOST_SCENES):
        if randrange(2) == 0:
            break
        steps += draw_scene(randrange, mix)
    return Schedule(draw_limits(steps, limits or randrange, mix))


def draw_limits(steps: Iterable[Step], randrange: RandRange, mix: FaultMix) -> list[Step]:
    """The same steps, with a limit for a fault here and there: to a time, to some connections or attempts.

    A fault that somebody has named as it is stays as it is, and so does one that leaves a dead flow.
    """
    chance = Chance(randrange, mix.packets)
    return [
        replace(step, fault=with_limits(step.fault, chance))
        if isinstance(step, Break)
        and not step.lasting
        and step.fault not in mix.faults
        and chance.once_in(_LIMITED_ONCE_IN)
        else step
        for step in steps
    ]


def draw_break(randrange: RandRange, mix: FaultMix) -> Break:
    """One fault, with the arguments that are drawn for it."""
    return _Drawing(randrange, mix).any_break()


def draw_moment(randrange: RandRange, mix: FaultMix) -> list[Step]:
    """Something to wait for; nothing, now and then."""
    return _Drawing(randrange, mix).any_moment()


def draw_opening(randrange: RandRange, mix: FaultMix) -> list[Step]:
    """What is there before, and the subscription."""
    return _Drawing(randrange, mix).opening()


def draw_outage(randrange: RandRange, mix: FaultMix) -> list[Step]:
    """A scene in which something is written while the network is broken."""
    return _Drawing(randrange, mix).outage()


def draw_scene(randrange: RandRange, mix: FaultMix) -> list[Step]:
    """A few steps that belong together, such as an outage with what is written meanwhile."""
    return _Drawing(randrange, mix).scene()


def draw_writes(randrange: RandRange, mix: FaultMix) -> list[Step]:
    """A few changes, one after another."""
    return _Drawing(randrange, mix).writes()


# More methods than a class of ours should have: each is a part of a schedule that can be drawn, and the parts share the
# source of chance, the keys and what was drawn before.
class _Drawing:
    """One drawing: each method draws one thing."""

    def __init__(self, randrange: RandRange, mix: FaultMix) -> None:
        self._randrange = randrange
        self._abilities = mix.abilities
        self._chance = Chance(randrange, mix.packets, mix.protocol)
        self._once_in = self._chance.once_in
        self._faults = [one for one in mix.faults for _ in range(one.traits.weight)]
        self._absent = [one for one in self._faults if one.traits.keeps_away]
        self._mild = [one for one in mix.faults if one.traits.mild]

    def _one(self, options: Sequence[T]) -> T:
        return self._chance.one(options)

    def opening(self) -> list[Step]:
        return [*self._before(), Subscribe()]

    def outage(self) -> list[Step]:
        scenes = [self._outage, self._outage, self._recovery, self._unanswered]
        if "compact" in self._abilities:
            scenes.append(self._forgotten)
        return self._one(scenes)()

    def scene(self) -> list[Step]:
        scenes = [self._outage, self._calm, self._recovery, self._turns, self._unanswered]
        if "compact" in self._abilities:
            scenes.append(self._forgotten)
        if self._abilities & {"restart", "pause"}:
            scenes.append(self._server_trouble)
        return self._one(scenes)()

    def any_break(self) -> Break:
        return self._break(self._faults)

    def any_moment(self) -> list[Step]:
        return [WaitForConnection()] if self._once_in(4) else self._moment(self._fault(self._faults))

    # -- scenes -----------------------------------------------------------------------------------------

    def _before(self) -> list[Step]:
        """What is there when the subscription begins."""
        kind = self._randrange(8)
        if kind <= 3:
            return []
        if kind <= 6 or not self._mild:
            return [self._write(), *([self._write()] if self._once_in(3) else [])]
        return [self._break(self._mild)]

    def _outage(self) -> list[Step]:
        """A fault, writes while it holds, and the end of it."""
        steps: list[Step] = []
        if self._once_in(2):
            steps += [self._write(), *([WaitForEvents()] if self._once_in(2) else [])]
        fault = self._fault(self._faults)
        steps += [_broken_by(fault), *self.writes()]
        if "compact" in self._abilities and self._once_in(8):
            steps += [Compact(), *([self._write()] if self._once_in(2) else [])]
        if self._once_in(6):
            steps.append(self._break(self._faults))
        steps += self._held(fault)
        if not self._once_in(5):
            steps += [Heal(), *self._moment(fault)]
            if self._once_in(2):
                steps.append(self._write())
        return steps

    def _recovery(self) -> list[Step]:
        """A second fault while the subscriber is coming back from the first."""
        fault = self._fault(self._faults)
        steps: list[Step] = [_broken_by(fault), self._write(), Heal()]
        steps += self._moment(fault) or self._return_of(fault)
        if Cut in self._faults and self._once_in(3):
            early = self._early_cut()
            return [*steps, Break(early), *self.writes(), *_reached(early), Heal()]
        return [*steps, self._break(self._faults), *self.writes(), Heal()]

    def _unanswered(self) -> list[Step]:
        """A write of the subject's own that arrives, and whose answer does not."""
        kinds = [kind for kind in (Cut, Blackhole) if kind in self._faults]
        if not kinds:
            return self._outage()
        fault: Fault = Blackhole("down", on_heal=self._one(("reset", "sever", "resume")))
        if self._one(kinds) is Cut:
            # An answer is short where a connection is made for each request, and comes late in one that lasts.
            fault = Cut(self._randrange(self._one((40, 8))), direction="down", how=self._one(("fin", "rst")))
        return [Break(fault), Write(self._one(_KEYS), via="link"), Heal()]

    def _forgotten(self) -> list[Step]:
        """What is written while the subscriber is away is compacted before it is back."""
        key = self._one(_KEYS)
        steps: list[Step] = [Write(key), WaitForEvents()] if self._once_in(2) else []
        steps += [self._break(self._absent or self._faults), *self.writes()]
        if len(steps) > 3 or self._once_in(3):
            steps.append(Delete(key))
        return [*steps, Compact(), *([self._write()] if self._once_in(2) else []), Heal()]

    def _calm(self) -> list[Step]:
        """Writes while nothing is broken, and the subscriber sees them."""
        return [*self.writes(), *([WaitForEvents()] if self._once_in(2) else [])]

    def _turns(self) -> list[Step]:
        """One key that is put, deleted and put again, or put twice with the same value, around a fault."""
        key, via = self._one(_KEYS), self._via()
        steps: list[Step] = [Write(key, via=via)]
        steps.append(self._break(self._faults) if self._once_in(2) else WaitForEvents())
        if self._once_in(2):
            steps += [Write(key, via=via, repeat=True)]
        else:
            steps += [Delete(key, via=via), *([Write(key, via=via)] if self._once_in(2) else [])]
        return [*steps, Heal()]

    def _server_trouble(self) -> list[Step]:
        kinds = [kind for kind in ("pause", "restart") if kind in self._abilities]
        if self._one(kinds) == "pause":
            return [self._write(), Pause(), *([self._write()] if self._once_in(2) else []), Resume()]
        return [self._write(), Restart(), *self.writes()]

    # -- steps ------------------------------------------------------------------------------------------

    def _moment(self, fault: Fault) -> list[Step]:
        kind = self._randrange(6)
        if kind <= 1:
            return []
        if kind == 2:
            return self._return_of(fault)
        if kind == 3:
            return [WaitForEvents()]
        if kind == 4:
            return [WaitForEvents(1 + self._randrange(4))]
        return [WaitForBytes(1 + self._randrange(400), self._one(("down", "up")))]

    def _held(self, fault: Fault) -> list[Step]:
        """Something to wait for while it is broken, now and then: an outage that takes more than one try."""
        if not self._once_in(3):
            return []
        return _reached(fault) or [WaitForEvents()]  # which is given up in an outage, after a short while

    def _return_of(self, fault: Fault) -> list[Step]:
        """The reconnect after a fault, if it ends connections: waiting for one that does not come wastes time."""
        return [WaitForConnection()] if fault.ends_connections() else []

    def writes(self) -> list[Step]:
        steps = [self._write()]
        while len(steps) < 4 and self._once_in(2):
            steps.append(self._write())
        return steps

    def _write(self) -> Step:
        kind = self._randrange(16)
        key = self._one(_KEYS)
        if kind <= 8:
            return Write(key)
        if kind <= 10:
            return Write(key, via="link")
        if kind <= 12:
            return Delete(key, via=self._via())
        if kind == 13:
            return Write(key, repeat=True)
        if kind == 14 and "many" in self._abilities:
            others = [other for other in _KEYS if other != key]
            if self._once_in(3):
                return WriteMany((key,), deletes=(others[0],), via=self._via())
            return WriteMany((key, others[0], *(others[1:] if self._once_in(2) else ())), via=self._via())
        return Write(key, beside=True) if kind == 15 else Write(key)

    def _via(self) -> Via:
        return "link" if self._once_in(4) else "direct"

    def _break(self, options: Sequence[type[Fault] | Fault]) -> Break:
        return _broken_by(self._fault(options))

    # -- faults -----------------------------------------------------------------------------------------

    def _fault(self, options: Sequence[type[Fault] | Fault]) -> Fault:
        one = self._one(options)
        return one if isinstance(one, Fault) else one.draw(self._chance)

    def _early_cut(self) -> Cut:
        """In the greeting of a connection, or in what was waiting behind it for the subscriber to come back."""
        furthest = self._one(CUTS_WITHIN[:2])
        return Cut(self._randrange(furthest), direction="down", how=self._one(("fin", "rst")))


def _reached(fault: Fault) -> list[Step]:
    """The moment at which a fault takes effect on the connection that the subscriber has come back with."""
    place = fault.takes_effect_at()
    if place is None or fault.stops_traffic(met=True) or not 0 < place[0] <= CUTS_WITHIN[1]:
        return []
    return [WaitForBytes(place[0], "up" if place[1] == "up" else "down")]


def _broken_by(fault: Fault) -> Break:
    """The step for a fault. A flow that dies without a word stays dead, by a ``Cut`` as by a ``Forget``."""
    return Break(fault, lasting=fault.kills_flow() and not fault.traits.momentary)
