"""Schedules as Hypothesis strategies, for tests that someone writes with ``@given``.

    from pytest_netfault.schedules import schedules

    @given(schedule=schedules(faults=[Sever, Cut]))
    def test_mine(netfault_factory, schedule): ...

Profiles, the example database, ``--hypothesis-seed`` and ``target()`` work as for every other strategy, and a failing
schedule prints as the expression that makes it, ready for ``@example(...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise
    raise ModuleNotFoundError(
        "schedules() draws with Hypothesis, which is not installed: pip install 'pytest-netfault[hypothesis]'",
        name="hypothesis",
    ) from error

from pytest_netfault.faults import Fault
from pytest_netfault.schedules.generate import (
    ALL,
    MOST_SCENES,
    Ability,
    FaultMix,
    RandRange,
    draw_limits,
    draw_opening,
    draw_outage,
    draw_scene,
)
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import Break, Step, Write, WriteMany

__all__ = ["schedules"]


def schedules(
    *,
    faults: Iterable[type[Fault] | Fault] = ALL,
    abilities: Iterable[Ability] = (),
    protocol: str | None = None,
) -> st.SearchStrategy[Schedule]:
    """Schedules of writes and outages, biased to what loses updates.

    Each of them breaks something, and writes what the subscriber must receive after that. Whether a fault meets
    anything is only known when it was played: :func:`pytest_netfault.verify.replay` rejects the input if none did.

    Args:
        faults: classes of faults, whose arguments are drawn too, or faults as they are.
        abilities: what the server and the client can do besides: ``"compact"``, ``"restart"``, ``"pause"``, and
            ``"many"`` for a client with ``put_many``.
        protocol: what the client speaks, such as ``"resp"``; then half of the cuts fall at places in its frames (see
            `Frame`), which name what was under way.

    Raises:
        TypeError: something in ``faults`` is no fault.
        ValueError: there are no faults, or an ability or a protocol that does not exist.
    """
    mix = FaultMix(faults, frozenset(abilities), protocol=protocol)  # type: ignore[arg-type]
    scenes = st.tuples(_drawn(draw_outage, mix), *[_drawn(draw_scene, mix)] * MOST_SCENES)
    return _schedules(_drawn(draw_opening, mix), scenes)


# A composite strategy and not st.builds(): of what that builds Hypothesis would print how, with names of ours.
@st.composite
def _schedules(
    draw: st.DrawFn, opening: st.SearchStrategy[list[Step]], scenes: st.SearchStrategy[tuple[list[Step], ...]]
) -> Schedule:
    steps = [*draw(opening), *(step for scene in draw(scenes) for step in scene)]
    return Schedule(steps if _puts_after_a_fault(steps) else [*steps, Write("a")])


@st.composite
def _drawn(draw: st.DrawFn, part: Callable[[RandRange, FaultMix], list[Step]], mix: FaultMix) -> list[Step]:
    # A scene whose choices are all made as simple as can be is left out: Hypothesis shrinks each of them to nothing.
    # The first outage is not: without it nothing is put to the test.
    left_out = part is draw_scene and draw(st.integers(0, 3)) == 0
    if left_out:
        return []

    def randrange(n: int) -> int:
        return draw(st.integers(0, n - 1))

    return draw_limits(part(randrange, mix), randrange, mix)


def _puts_after_a_fault(steps: Sequence[Step]) -> bool:
    """Whether something is put that the subscriber must receive, once something is broken.

    A delete of a key that is not there changes nothing, and what is written beside was not subscribed to.
    """
    broken = next((place for place, step in enumerate(steps) if isinstance(step, Break)), len(steps))
    return any(
        (isinstance(step, Write) and not step.beside) or (isinstance(step, WriteMany) and step.keys)
        for step in steps[broken:]
    )
