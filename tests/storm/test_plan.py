"""Which places of a test are played, and when two of its runs are alike."""

from __future__ import annotations

from pytest_netfault.storm.places import Place
from pytest_netfault.storm.plan import plan
from pytest_netfault.storm.profile import Exchange, Profile, alike, why_not_alike


def talk(*types: str) -> Profile:
    """Requests and replies in turns."""
    ways = ("up", "down")
    return Profile(
        0.1, ("resp",), tuple(Exchange(1, ways[at % 2], name, 20) for at, name in enumerate(types))
    )  # type: ignore[arg-type]


GETS = talk(*["GET", "bulk"] * 10)


def test_nothing_is_played_twice_and_no_more_than_the_budget() -> None:
    for places in (0, 1, 7, 50, 1000):
        planned = plan(GETS, places, seed=1)
        assert len(planned) == len(set(planned)) == min(places, 100)


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    plans = [plan(GETS, 40, seed=seed) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_what_differs_comes_first() -> None:
    profile = talk(*["GET", "bulk"] * 10, "SET", "status")
    planned = {str(place) for place in plan(profile, 4, seed=1)}
    assert planned == {"up 1 rst", "down 1 rst", "up 11 rst", "down 11 rst"}


def test_a_reply_of_the_same_type_to_another_request_is_another_one() -> None:
    profile = talk("EXISTS", "integer", "INCRBY", "integer", "EXISTS", "integer")
    assert Place(1, "down", 2, "rst") in plan(profile, 4, seed=1)


def test_each_place_is_one_that_the_test_comes_to() -> None:
    assert all(GETS.at(place) is not None for place in plan(GETS, 100, seed=1))
    assert GETS.at(Place(1, "up", 11, "rst")) is None
    assert GETS.at(Place(2, "up", 1, "rst")) is None


def test_nothing_strikes_inside_a_single_byte() -> None:
    profile = Profile(0.1, (None,), (Exchange(1, "up", "turn", 1),))
    assert not any(place.inside for place in plan(profile, 10, seed=1))


def test_two_connections_may_take_turns_in_any_order() -> None:
    one, other = Exchange(1, "up", "GET", 20), Exchange(2, "up", "SET", 20)
    ordered, swapped = (Profile(0.1, ("resp", "resp"), pair) for pair in ((one, other), (other, one)))
    assert alike(ordered, swapped)
    assert not alike(ordered, Profile(0.1, ("resp", "resp"), (one, one)))


def test_it_is_said_how_two_runs_differ() -> None:
    once, twice = talk("GET"), talk("GET", "bulk")
    assert why_not_alike(once, twice) == "1 exchange in one play, 2 exchanges in another (bulk down: 0, 1)"
    swapped = talk("SET", "bulk", "GET", "bulk")
    ordered = talk("GET", "bulk", "SET", "bulk")
    assert why_not_alike(ordered, swapped) == "4 exchanges in each play, but not in the same order"


def test_a_profile_travels_as_plain_values() -> None:
    assert Profile.from_json(GETS.to_json()) == GETS


def test_streams_that_share_a_connection_come_in_any_order() -> None:
    def frames(*types: str, protocol: str = "http2") -> Profile:
        return Profile(0.1, (protocol,), tuple(Exchange(1, "up", name, 20) for name in types))

    ordered, swapped = ("HEADERS", "DATA", "DATA"), ("DATA", "HEADERS", "DATA")
    assert alike(frames(*ordered), frames(*swapped))
    assert not alike(frames(*ordered, protocol="resp"), frames(*swapped, protocol="resp"))
    assert alike(frames(*ordered), frames(*ordered, "DATA", "DATA"))
    assert not alike(frames(*ordered), frames(*ordered, "DATA", "DATA", "DATA"))
