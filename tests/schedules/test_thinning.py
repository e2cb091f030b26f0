"""Thinning: what was drawn, less and less of it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.schedules.generate import ALL, FaultMix
from pytest_netfault.schedules.steps import Break, Subscribe
from pytest_netfault.schedules.strategies import numbered
from pytest_netfault.schedules.thinning import Draft, Drawn, drawn_from

MIX = FaultMix(ALL, frozenset({"compact", "restart", "pause", "many"}))
DRAFTS = st.integers(0, 5000).map(lambda number: numbered(number, MIX))
few = settings(max_examples=30)


def levels(draft: Draft) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=len(draft.steps), max_size=len(draft.steps))


@few
@given(DRAFTS)
def test_with_high_levels_it_is_what_was_drawn(draft: Draft) -> None:
    whole = draft.thinned(bytes([255] * len(draft.steps)))
    assert whole is not None
    assert whole.steps == draft.steps


@few
@given(st.data())
def test_the_levels_of_a_thinned_schedule_make_it_again(data: st.DataObject) -> None:
    draft = data.draw(DRAFTS)
    few = [data.draw(st.sampled_from([0, 1, 2, 255])) for _ in draft.steps]
    schedule = draft.thinned(few)
    if schedule is not None:
        found = draft.levels_of(schedule, few)
        assert found is not None
        assert draft.thinned(found) == schedule


@few
@given(st.data())
def test_a_schedule_knows_where_it_comes_from_and_is_equal_to_one_that_does_not(data: st.DataObject) -> None:
    draft = data.draw(DRAFTS)
    drawn = Drawn(draft, data.draw(levels(draft)))
    schedule = drawn.schedule()
    if schedule is not None:
        assert drawn_from(schedule) == drawn
        assert schedule == draft.thinned(drawn.levels)


def test_each_step_can_be_left_out_and_a_fault_and_a_put_after_it_stay() -> None:
    draft = numbered(7, MIX)
    everything: Sequence[int] = [255] * len(draft.steps)
    for place, step in enumerate(draft.steps):
        fewer = draft.thinned([*everything[:place], 0, *everything[place + 1 :]])
        if isinstance(step, Subscribe):
            assert fewer is not None
            assert fewer.steps[0] == Subscribe()
        elif fewer is not None:
            assert len(fewer) == len(draft.steps) - 1
            assert any(isinstance(one, Break) for one in fewer)
    assert draft.thinned([0] * len(draft.steps)) is None
    assert draft.thinned([0, *[255] * (len(draft.steps) - 1)]) != draft.thinned(everything)
