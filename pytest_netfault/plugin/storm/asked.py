"""What a suite asks of a storm for one test: the marker, before the options and ini values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pytest_netfault.plugin.options import Settings
from pytest_netfault.storm.errors import Allowed, error_class

__all__ = ["MARKER", "Asked", "asked_of"]

MARKER = "netfault_storm"


@dataclass(frozen=True)
class Asked:
    """What a test may do, and how much is spent on it.

    Attributes:
        allow: errors that are no finding.
        places: at how many places it is played, at most.
        seconds: how long it may always take.
    """

    allow: Allowed
    places: int
    seconds: float


def asked_of(item: pytest.Item, settings: Settings) -> Asked:
    """What is asked of a test: its own marker first, then those of its class and module, then the options.

    Raises:
        pytest.UsageError: a value is not valid; the message names it and what would be.
    """
    given: dict[str, Any] = {}
    for mark in item.iter_markers(MARKER):  # the closest first
        unknown = sorted(set(mark.kwargs) - {"allow", "places", "seconds"})
        if mark.args or unknown:
            what = f"no argument {unknown[0]!r}" if unknown else "no positional arguments"
            raise pytest.UsageError(
                f"{item.nodeid}: the marker {MARKER} takes {what}: it has allow=, places= and seconds="
            )
        given = {**mark.kwargs, **given}
    places, seconds = given.get("places", settings.storm_places), given.get("seconds", settings.storm_seconds)
    if type(places) is not int or places < 0:
        raise pytest.UsageError(f"{item.nodeid}: places={places!r} must be a whole number, at least 0")
    if type(seconds) not in (int, float) or not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"{item.nodeid}: seconds={seconds!r} must be a number of seconds above 0")
    allow = given.get("allow", settings.storm_allow)
    try:
        return Asked(_classes(allow), places, float(seconds))
    except ValueError as error:
        where = f"{item.nodeid}: allow" if "allow" in given else "netfault_storm_allow"
        raise pytest.UsageError(f"{where}: {error}") from None


def _classes(allow: Any) -> Allowed:
    found: list[type[BaseException]] = []
    for one in allow if isinstance(allow, (tuple, list, set, frozenset)) else (allow,):
        if isinstance(one, str):
            found.append(error_class(one))
        elif isinstance(one, type) and issubclass(one, BaseException):
            found.append(one)
        else:
            raise ValueError(f"{one!r} is no exception class")
    return tuple(found)
