"""Schedules as Hypothesis strategies, for tests that someone writes with ``@given``.

    from pytest_netfault.schedules import schedules

    @given(schedule=schedules(faults=[Sever, Cut]))
    def test_mine(netfault_factory, schedule): ...

Profiles, the example database, ``--hypothesis-seed`` and ``target()`` work as for every other strategy, and a failing
schedule prints as the expression that makes it, ready for ``@example(...)``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace

try:
    from hypothesis import reject
    from hypothesis import strategies as st
    from hypothesis.control import current_build_context
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise
    raise ModuleNotFoundError(
        "schedules() draws with Hypothesis, which is not installed: pip install 'pytest-netfault[hypothesis]'",
        name="hypothesis",
    ) from error

from pytest_netfault.faults import Fault
from pytest_netfault.schedules.dead_flows import dead_faults, dead_flow
from pytest_netfault.schedules.generate import ALL, Ability, FaultMix, seeded
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import Asked
from pytest_netfault.schedules.thinning import Draft, Drawn, draft_of

__all__ = ["drawn_so_far", "numbered", "schedules"]

# Hypothesis draws whole numbers of up to 24 bits evenly, and prefers small ones among longer ones.
_NUMBERS = 2**24
_SEED = 0
# A proof plays three at least, beside its examples. Here each takes its time: as long as the client does to notice.
_DEAD_FLOW_ONCE_IN = 10


def schedules(
    *,
    faults: Iterable[type[Fault] | Fault] = ALL,
    abilities: Iterable[Ability] = (),
    protocol: str | None = None,
) -> st.SearchStrategy[Schedule]:
    """Schedules of writes and outages, biased to what loses updates, as a proof draws them; one in ten has a dead flow.

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
    return _schedules(mix)


# A composite strategy and not st.builds(): of what that builds Hypothesis would print how, with names of ours.
@st.composite
def _schedules(draw: st.DrawFn, mix: FaultMix) -> Schedule:
    # Hypothesis chooses which one, so that what it draws is as varied as what a proof run draws. All that it may leave
    # out is one choice, and not one for each step: it makes variants of an input that has several choices of a kind,
    # and here most of them would be the same schedule again.
    began = drawn_so_far()
    draft = numbered(draw(st.integers(0, _NUMBERS - 1)), mix)
    many = len(draft.steps)
    levels = draw(st.binary(min_size=many, max_size=many))
    schedule = Drawn(draft, levels, drawn_so_far() if began == 0 else None).schedule()
    return reject() if schedule is None else schedule


def drawn_so_far() -> int | None:
    """How much of the input that is being tried Hypothesis has drawn; None if it does not say."""
    data = current_build_context().data
    # Choices; before 6.120, bytes.
    nodes, so_far = getattr(data, "nodes", None), getattr(data, "index", None)
    return so_far if nodes is None else len(nodes)


@functools.lru_cache(maxsize=256)
def numbered(number: int, mix: FaultMix) -> Draft:
    """The draft with this number, one of those that a proof run may draw; some of them have a dead flow."""
    asked = Asked(mix.faults)
    dead = dead_faults(mix.faults)
    others = tuple(one for one in mix.faults if one not in dead)
    if dead and (not others or number % _DEAD_FLOW_ONCE_IN == _DEAD_FLOW_ONCE_IN - 1):
        return draft_of(dead_flow(_SEED, number, mix), asked)
    return draft_of(seeded(_SEED, number, replace(mix, faults=others)), asked)
