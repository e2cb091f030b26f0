"""A custom fault whose code is wrong costs its own connection at most: the proxy and everything else live on."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any

import pytest

from pytest_netfault.faults import Delay
from pytest_netfault.proxy import CustomFault, Place, Stage


class Boom(BaseException):
    """What the code of a fault raises: no Exception, as ``pytest.fail`` raises none."""


@dataclasses.dataclass(frozen=True, repr=False)
class Returns(CustomFault):
    """Its stage for one connection is what it was made with, or is made by it."""

    what: Any
    connection: int = 1
    direction: Any = "both"

    def stage(self, place: Place) -> Any:
        if place.connection != self.connection:
            return None
        return self.what() if callable(self.what) else self.what


def boom(*_: object) -> Any:
    raise Boom("in the code of the fault")


class WithoutInit(Stage):
    def __init__(self) -> None:
        pass


def works(pair: Any) -> bool:
    for one, other in (pair.ends("up"), pair.ends("down")):
        one.sendall(b"works")
        if other.recv(9) != b"works":
            return False
    return True


class TestAtTheCall:
    @pytest.mark.parametrize(
        "what", [lambda: 1, lambda: "stage", lambda: Stage, lambda: Delay(1), WithoutInit]
    )
    def test_no_stage_is_a_type_error_and_nothing_is_applied(self, rig: Any, what: Any) -> None:
        pairs = [rig.connect() for _ in range(3)]
        with pytest.raises(
            TypeError, match=r"Returns.stage\(place\) (must return a Stage, or None|returned a WithoutInit)"
        ):
            rig.link.apply(Returns(what, connection=2))
        assert all(map(works, pairs))
        assert works(rig.connect())
        assert not any(event.kind == "fault" for event in rig.link.events)

    def test_what_it_raises_is_raised_and_nothing_is_applied(self, rig: Any) -> None:
        pairs = [rig.connect() for _ in range(3)]
        with pytest.raises(Boom, match="in the code"):
            rig.link.apply(Returns(boom, connection=3))
        assert all(map(works, pairs))
        with rig.link.slice(2):
            assert not [one for one in rig.link.connections if one.state != "open"]

    def test_none_leaves_a_direction_alone(self, pair: Any, rig: Any) -> None:
        with rig.link.apply(Returns(None)):
            assert works(pair)


class TestForAConnectionToCome:
    @pytest.mark.parametrize("what", [lambda: 1, boom, WithoutInit])
    def test_that_connection_ends_with_an_event(self, rig: Any, helpers: Any, what: Any) -> None:
        first = rig.connect()
        with rig.link.apply(Returns(what, connection=2)) as active:
            assert helpers.call(rig.link) == (b"", "rst")
            [trouble] = [event for event in rig.link.events if event.kind == "trouble"]
            assert trouble.connection == 2
            assert trouble.detail.startswith(f"{active.fault!r} failed: ")
            assert works(first)
            assert works(rig.connect())
        assert works(first)


def item_of(kind: Any) -> type[Stage]:
    class Lets(Stage):
        def pull(self, now: float) -> Any:
            return kind if super().pull(now) is not None else None

    return Lets


def failing(method: str, result: Any = boom) -> type[Stage]:
    return type("Failing", (Stage,), {method: result})


WRONG: dict[str, type[Stage]] = {
    "push raises": failing("push"),
    "pull raises": failing("pull"),
    "wake raises": failing("wake"),
    "full raises": failing("full"),
    "met raises": failing("met", property(boom)),
    "separate raises": failing("separate", property(boom)),
    "pull gives text": item_of("text"),
    "pull gives a number": item_of(7),
    "wake gives text": failing("wake", lambda _: "soon"),
    "wake gives NaN": failing("wake", lambda _: math.nan),
}


class TestWhileItRuns:
    @pytest.mark.parametrize("direction", ["up", "down"])
    @pytest.mark.parametrize("stage", WRONG.values(), ids=WRONG)
    def test_its_connection_ends_with_an_event_and_the_others_live(
        self, rig: Any, helpers: Any, stage: type[Stage], direction: str
    ) -> None:
        broken, other = rig.connect(), rig.connect()
        source, receiver = broken.ends(direction)
        with rig.link.apply(Returns(stage, direction=direction)):
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # it may have failed at once
                source.sendall(b"hello")
                assert helpers.take_all(source) == (b"", "rst")
            got, end = helpers.take_all(receiver)
            assert b"hello".startswith(got)  # all or nothing of it, as it failed behind it or before
            assert end == "rst"
            [trouble] = [event for event in rig.link.events if event.kind == "trouble"]
            assert trouble.connection == 1
            assert works(other)
            assert works(rig.connect())
        assert works(other)

    def test_a_heal_that_fails_ends_its_connection(self, rig: Any, helpers: Any) -> None:
        class Holds(Stage):
            def pull(self, now: float) -> None:
                return None

            def drain(self) -> Any:
                raise Boom("cannot give it up")

        broken, other = rig.connect(), rig.connect()
        with rig.link.apply(Returns(Holds)):
            broken.client.sendall(b"lost")
            rig.fence()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            broken.client.sendall(b"must not arrive behind a gap")
        assert helpers.take_all(broken.server) == (b"", "rst")
        assert works(other)

    def test_bytes_of_any_kind_are_bytes(self, rig: Any, pair: Any) -> None:
        with rig.link.apply(Returns(item_of(bytearray(b"array")))):
            pair.client.sendall(b"x")
            assert pair.server.recv(9) == b"array"
        with rig.link.apply(Returns(item_of(memoryview(b"abcd").cast("H")))):
            pair.client.sendall(b"x")
            assert pair.server.recv(9) == b"abcd"


@pytest.mark.parametrize("direction", ["sideways", None, 7, ["up"]])
def test_a_direction_that_is_none_is_refused_at_the_call(rig: Any, pair: Any, direction: Any) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=r"Returns: direction must be 'up', 'down' or 'both', not"
    ):
        rig.link.apply(Returns(Stage, direction=direction))
    assert works(pair)
