from __future__ import annotations

import threading

import pytest

from pytest_netfault.proof import recording as module
from pytest_netfault.proof.recording import Recording
from pytest_netfault.store import Delivery, Event

ONE = Delivery(events=(Event("r17.a", "1"), Event("r17.b", "2")))


def test_deliveries_are_taken_down_in_order_with_their_time() -> None:
    recording = Recording()
    recording.deliver(ONE)
    recording.deliver(Delivery(bookmark=3))
    first, second = recording.snapshot()
    assert (first.delivery, second.delivery) == (ONE, Delivery(bookmark=3))
    assert first.time <= second.time
    assert len(recording) == 2
    assert recording.events == 2


def test_waiting_ends_when_more_comes_from_another_thread() -> None:
    recording = Recording()
    thread = threading.Thread(target=recording.deliver, args=(ONE,))
    thread.start()
    assert recording.wait_beyond(0, 5)
    thread.join()
    assert not recording.wait_beyond(1, 0.01)
    assert not recording.wait_beyond(1, -1)


def test_a_closed_recording_takes_nothing() -> None:
    recording = Recording()
    recording.close()
    recording.deliver(ONE)
    assert recording.snapshot() == ()


def test_what_is_no_delivery_is_refused_and_remembered() -> None:
    recording = Recording()
    with pytest.raises(TypeError, match=r"takes a Delivery such as .*, not \['x'\]"):
        recording.deliver(["x"])  # type: ignore[arg-type]
    assert recording.wait_beyond(0, 5)
    with pytest.raises(TypeError):
        recording.snapshot()


def test_of_equal_deliveries_in_a_row_no_more_are_kept_than_can_matter() -> None:
    def kept(*given: Delivery, writes: int = 0) -> tuple[int, int]:
        taken = Recording(writes)
        for one in given:
            taken.deliver(one)
        return len(taken), taken.left_out

    one, other = Delivery(bookmark=1), Delivery(bookmark=2)
    assert kept(*[one] * 100) == (100, 0)
    assert kept(*[one] * 150) == (100, 50)
    assert kept(*[one] * 150, writes=30) == (130, 20)
    assert kept(*[one, other] * 100) == (200, 0)  # each of them may say something new after the other
    assert kept(*[one] * 150, other, *[one] * 150) == (201, 100)


def test_a_full_recording_takes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    taken = Recording()
    for number in range(5):
        assert taken.full == (number >= 3)
        taken.deliver(Delivery(bookmark=number))
    assert (len(taken), taken.left_out) == (3, 2)
