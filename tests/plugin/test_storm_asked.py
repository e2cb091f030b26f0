"""What a marker and the options ask of a storm for one test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_netfault.plugin.options import Settings
from pytest_netfault.plugin.storm.asked import Asked, asked_of

SETTINGS = cast(
    "Settings",
    SimpleNamespace(storm_allow=("OSError", "json.JSONDecodeError"), storm_places=20, storm_seconds=30.0),
)


def ask(*marks: pytest.MarkDecorator) -> Asked:
    """What holds for a test with these markers, the closest first."""
    item = SimpleNamespace(nodeid="test_a.py::test_b", iter_markers=lambda _name: [one.mark for one in marks])
    return asked_of(cast("pytest.Item", item), SETTINGS)


def test_without_a_marker_the_options_hold() -> None:
    asked = ask()
    assert (asked.places, asked.seconds) == (20, 30.0)
    assert [kind.__name__ for kind in asked.allow] == ["OSError", "JSONDecodeError"]


def test_the_closest_marker_goes_first_argument_by_argument() -> None:
    near = pytest.mark.netfault_storm(places=5, allow=TimeoutError)
    far = pytest.mark.netfault_storm(places=7, seconds=2, allow=())
    assert ask(near, far) == Asked((TimeoutError,), 5, 2.0)
    assert ask(pytest.mark.netfault_storm(allow=(ValueError, "builtins.KeyError"))).allow == (
        ValueError,
        KeyError,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"places": -1}, "places=-1 must be a whole number, at least 0"),
        ({"places": True}, "places=True must be a whole number, at least 0"),
        ({"seconds": 0}, "seconds=0 must be a number of seconds above 0"),
        ({"seconds": "1"}, "seconds='1' must be a number of seconds above 0"),
        ({"allow": 3}, "allow: 3 is no exception class"),
        ({"allow": "no.Such"}, "allow: 'no.Such' cannot be imported"),
        ({"errors": ()}, "takes no argument 'errors': it has allow=, places= and seconds="),
    ],
)
def test_what_is_not_valid_is_refused_in_one_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        ask(pytest.mark.netfault_storm(**arguments))
    assert said in str(caught.value)
    assert str(caught.value).startswith("test_a.py::test_b: ")
