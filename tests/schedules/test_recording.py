from __future__ import annotations

import threading

import pytest

from pytest_netfault.schedules.recording import Recording
from pytest_netfault.schedules.subject import Delivery, Event

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
