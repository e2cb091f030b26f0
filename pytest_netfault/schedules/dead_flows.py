"""Schedules in which a flow dies without a word, and how they are drawn.

A dead flow is one that passes nothing any more while nobody closed it, and new connections work: a NAT, a firewall or
a load balancer has forgotten it. ``Forget()`` makes one, and so does a ``Cut(..., how="blackhole")`` of one connection
that lasts. The client must find out by itself, which takes as long as its heartbeat does, so these schedules have a
patience of their own (``notice``).

No step of a drawn schedule touches the server (compact, restart, pause), so that
these schedules can be played beside each other and beside others that touch it as little.

>>> print(dead_flow(7, 0, FaultMix((Forget,))))
Schedule([Subscribe(), Write('a'), WaitForEvents(), Break(Forget()), Write('a')])
>>> has_dead_flow(dead_flow(7, 1, FaultMix((Forget,)))), touches_server(dead_flow(7, 1, FaultMix((Forget,))))
(True, False)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pytest_netfault.faults import Chance, Cut, Fault, Forget
from pytest_netfault.schedules.generate import FaultMix, RandRange, draw_writes
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import (
    Break,
    Compact,
    Pause,
    Restart,
    Resume,
    Step,
    Subscribe,
    WaitForEvents,
    Write,
)

__all__ = [
    "NOTICE_SECONDS",
    "Plan",
    "dead_faults",
    "dead_flow",
    "dead_flows_of",
    "has_dead_flow",
    "leaves_dead_flow",
    "smallest",
    "touches_server",
]

#: Seconds in which a client must find out by itself that a flow died without a word, unless it is said otherwise.
NOTICE_SECONDS = 60.0
# One in so many of the examples of a proof, and at least so many.
_ONE_IN = 20
_LEAST = 3
# A flow that is still answered by a kernel is the harder one to notice, and the commoner one in the field is not.
_FORGETS = (Forget(), Forget(), Forget(packets=True))
# The connections that a client has by then; most have one or two.
_CONNECTIONS = 2
_CUT_WITHIN = 300


def leaves_dead_flow(step: Step) -> bool:
    """Whether a step leaves a flow dead for good while new connections work.

    >>> leaves_dead_flow(Break(Forget())), leaves_dead_flow(Break(Cut(7, how="blackhole")))
    (True, False)
    """
    if not isinstance(step, Break):
        return False
    return step.fault.kills_flow() and (step.lasting or step.fault.traits.momentary)


def has_dead_flow(schedule: Iterable[Step]) -> bool:
    """Whether a flow of the schedule dies without a word."""
    return any(map(leaves_dead_flow, schedule))


def touches_server(schedule: Iterable[Step]) -> bool:
    """Whether the schedule does something to the server that every client of it would feel."""
    return any(isinstance(step, (Compact, Restart, Pause, Resume)) for step in schedule)


def dead_faults(faults: Iterable[type[Fault] | Fault]) -> tuple[type[Fault] | Fault, ...]:
    """Those of the faults that leave a dead flow: ``Forget``, and a silent cut of a connection with a number."""
    return tuple(
        one
        for one in faults
        if (one.kills_flow() if isinstance(one, Fault) else one.traits.connections == "forget")
    )


def dead_flows_of(examples: int) -> int:
    """How many schedules with a dead flow belong to a proof of so many examples.

    >>> [dead_flows_of(examples) for examples in (1, 60, 100, 500)]
    [3, 3, 5, 25]
    """
    return max(_LEAST, examples // _ONE_IN)


@dataclass(frozen=True)
class Plan:
    """What a proof plays.

    Attributes:
        mix: what its examples are drawn from.
        examples: how many there are.
        dead_flows: how many schedules with a dead flow are played beside them.
    """

    mix: FaultMix
    examples: int
    dead_flows: int

    @classmethod
    def of(cls, mix: FaultMix, examples: int, *, notice: float | None, named: bool) -> Plan:
        """Share out what may be drawn.

        Args:
            mix: all of it.
            examples: how many were asked for.
            notice: None if nothing may have a patience of its own.
            named: whether somebody named the faults.

        >>> plan = Plan.of(FaultMix((Forget, Cut)), 100, notice=60.0, named=True)
        >>> plan.mix.faults, plan.examples, plan.dead_flows
        ((<class 'pytest_netfault.faults.Cut'>,), 100, 5)
        >>> Plan.of(FaultMix((Forget,)), 100, notice=60.0, named=True).dead_flows
        100
        """
        dead = dead_faults(mix.faults)
        if not dead or (notice is None and named):
            return cls(mix, examples, 0)
        others = tuple(one for one in mix.faults if one not in dead)
        if not others:
            return cls(mix, 0, examples)
        count = 0 if notice is None else dead_flows_of(examples)
        return cls(replace(mix, faults=others), examples, count)


def smallest(fault: Fault) -> Schedule:
    """The smallest schedule in which this fault kills the flow that the subscriber surely has."""
    return Schedule([Subscribe(), Write("a"), WaitForEvents(), _killed_by(fault), Write("a")])


def dead_flow(seed: int, number: int, mix: FaultMix) -> Schedule:
    """The schedule with a dead flow that has this number in a proof with this seed; number 0 is the smallest there is.

    Args:
        seed: as for :func:`.seeded`.
        number: each is independent of those before it.
        mix: what may be drawn; at least one of its faults leaves a dead flow.
    """
    randrange = random.Random(f"netfault {seed} dead flow {number}").randrange
    kinds = dead_faults(mix.faults)
    if number == 0:
        first = kinds[0]
        return smallest(first if isinstance(first, Fault) else first.draw(Chance(lambda _: 0)))
    steps: list[Step] = [Write("a")] if randrange(2) else []
    # What was seen before shows that the flow which dies is the one that updates come on.
    steps += [
        Subscribe(),
        Write("a"),
        *(draw_writes(randrange, mix) if randrange(2) else []),
        WaitForEvents(),
    ]
    steps += [_killed_by(_fault(randrange, kinds, mix)), *draw_writes(randrange, mix)]
    if randrange(3) == 0:
        steps += [WaitForEvents(), *draw_writes(randrange, mix)]
    return Schedule(steps)


def _fault(randrange: RandRange, kinds: Sequence[type[Fault] | Fault], mix: FaultMix) -> Fault:
    kind = kinds[randrange(len(kinds))]
    if isinstance(kind, Fault):
        return kind
    if kind is not Forget:
        return kind.draw(Chance(randrange, mix.packets))
    if Cut in mix.faults and randrange(4) == 0:
        # What has passed by then is more than this, as a rule: the flow dies at once, and only that one.
        return Cut(randrange(_CUT_WITHIN), "down", 1 + randrange(_CONNECTIONS), "blackhole")
    forget = _FORGETS[randrange(len(_FORGETS))] if mix.packets else Forget()
    # A NAT seldom forgets all flows at once.
    return replace(forget, connections=1 + randrange(_CONNECTIONS)) if randrange(8) == 7 else forget


def _killed_by(fault: Fault) -> Break:
    return Break(fault, lasting=not fault.traits.momentary)
