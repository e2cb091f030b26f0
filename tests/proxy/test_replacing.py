"""A fault in force gets other arguments: its place among the others stays, and what it held goes on at once."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_netfault import Blackhole, Cut, Delay, Sever, UnsupportedFault
from pytest_netfault.faults import Lose

HOUR = 3600.0


def test_what_it_held_goes_on_at_once(rig: Any, pair: Any) -> None:
    late = rig.link.delay(HOUR)
    pair.client.sendall(b"held")
    assert rig.nothing(pair.server)
    late.replace(Delay(0))
    assert pair.server.recv(10) == b"held"
    late.replace(Delay(HOUR))
    pair.client.sendall(b"again")
    assert rig.nothing(pair.server)


def test_it_keeps_its_place_and_its_number(rig: Any, pair: Any) -> None:
    """What an older delay lets go of at once is still held by the newer one behind it."""
    older, newer = rig.link.delay(HOUR), rig.link.delay(HOUR)
    pair.client.sendall(b"held")
    assert rig.nothing(pair.server)
    older.replace(Delay(0))
    assert rig.nothing(pair.server)
    assert (older.fault, older.fault_id, newer.fault_id) == (Delay(0), 1, 2)
    newer.replace(Delay(0))
    assert pair.server.recv(10) == b"held"


def test_a_direction_that_it_did_not_claim_gets_its_stage_where_it_belongs(rig: Any, pair: Any) -> None:
    hole = rig.link.blackhole("up")
    late = rig.link.delay(HOUR)
    pair.server.sendall(b"down")
    assert rig.nothing(pair.client)
    hole.replace(Blackhole("down"))
    pair.client.sendall(b"up")
    late.heal()
    assert pair.server.recv(10) == b"up"
    assert pair.client.recv(10) == b"down"  # it was behind the place of the black hole already
    pair.server.sendall(b"more")
    assert rig.nothing(pair.client)
    hole.heal()
    assert pair.client.recv(10) == b"more"


def test_a_new_connection_gets_the_new_arguments(rig: Any) -> None:
    late = rig.link.delay(HOUR)
    late.replace(Delay(0))
    pair = rig.connect()
    pair.client.sendall(b"now")
    assert pair.server.recv(10) == b"now"


def test_events_say_so(rig: Any, pair: Any) -> None:
    late = rig.link.delay(HOUR)
    late.replace(Delay(0))
    pair.client.sendall(b"x")
    assert pair.server.recv(1) == b"x"
    late.heal()
    told = [(event.kind, event.fault, event.fault_id) for event in rig.link.events if event.fault]
    assert told[:2] == [("fault", Delay(HOUR), 1), ("fault", Delay(0), 1)]
    assert told[-1] == ("heal", Delay(0), 1)


def test_a_cut_is_moved(rig: Any, pair: Any) -> None:
    cut = rig.link.cut(100, direction="up")
    pair.client.sendall(b"12345")
    assert pair.server.recv(10) == b"12345"
    cut.replace(Cut(7, direction="up"))
    pair.client.sendall(b"6789")
    assert pair.server.recv(10) == b"67"
    assert pair.server.recv(10) == b""


def test_packet_loss_is_changed_in_the_kernel(rig: Any, pair: Any) -> None:
    try:
        lossy = rig.link.lose(0.9)
    except UnsupportedFault as error:
        pytest.skip(str(error))
    lossy.replace(Lose(0))
    pair.client.sendall(b"x")
    assert pair.server.recv(1) == b"x"
    lossy.heal()


def test_another_class_is_refused(rig: Any) -> None:
    late = rig.link.delay(HOUR)
    with pytest.raises(
        TypeError, match=r"Delay\(3600\.0\) can only be replaced by a fault of its class, not by Sever"
    ):
        late.replace(Sever())
    assert late.fault == Delay(HOUR)


def test_one_that_is_healed_stays_so(rig: Any, pair: Any) -> None:
    late = rig.link.delay(HOUR)
    late.heal()
    late.replace(Delay(2 * HOUR))
    pair.client.sendall(b"x")
    assert pair.server.recv(1) == b"x"


def test_what_ends_connections_ends_those_that_it_holds_for_from_now_on(rig: Any, pair: Any) -> None:
    other = rig.connect()
    severed = rig.link.sever(connections=2)
    assert (other.client.recv(1), other.server.recv(1)) == (b"", b"")
    assert rig.nothing(pair.client)
    severed.replace(Sever())
    assert (pair.client.recv(1), pair.server.recv(1)) == (b"", b"")
    assert rig.refused()


@pytest.mark.parametrize("value", [3, None, Delay])
def test_what_is_no_fault_is_refused(rig: Any, value: Any) -> None:
    late = rig.link.delay(HOUR)
    with pytest.raises(TypeError, match=r"replace takes a fault such as .*, not "):
        late.replace(value)
    assert late.fault == Delay(HOUR)
