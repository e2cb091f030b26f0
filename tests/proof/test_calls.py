from __future__ import annotations

import threading

from pytest_netfault.proof.calls import Caller


def test_calls_are_made_one_after_another_in_their_order() -> None:
    caller, made = Caller("test"), []
    calls = [caller.submit(made.append, number) for number in range(100)]
    assert calls[-1].wait(5)
    assert made == list(range(100))
    assert caller.close(5)


def test_a_call_keeps_what_was_returned_or_raised() -> None:
    caller = Caller("test")
    good, bad, worse = caller.submit(int, "7"), caller.submit(int, "x"), caller.submit(_exit)
    assert worse.wait(5)
    assert (good.result, good.error) == (7, None)
    assert isinstance(bad.error, ValueError)
    assert isinstance(worse.error, SystemExit)
    assert good.begun is not None
    assert good.ended is not None
    assert good.begun <= good.ended
    assert caller.close(5)


def _exit() -> None:
    raise SystemExit


def test_a_call_that_hangs_is_not_done_and_those_behind_it_are_dropped() -> None:
    let_go, caller = threading.Event(), Caller("test")
    hung, behind = caller.submit(let_go.wait, 60), caller.submit(int)
    assert not hung.wait(0.01)
    assert not caller.close(0.01)
    let_go.set()
    assert hung.wait(5)
    assert behind.wait(5) is False
    assert behind.dropped
    assert behind.begun is None
    assert caller.close(5)


def test_nothing_is_called_after_close() -> None:
    caller = Caller("test")
    assert caller.close(5)
    call = caller.submit(int)
    assert call.dropped
    assert not call.wait(0)
    assert caller.close(5)
