"""The findings that a suite knows of, in a file that is kept beside it.

A finding is known by its kind and its cause, and not by its place: a test that sends one request more has not got a new
fault. The file is made to be read and to be merged: one entry for each cause, in a fixed order.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_netfault.common.files import CannotRead, read_text, write_whole
from pytest_netfault.storm.findings import Finding, grouped
from pytest_netfault.storm.places import Place

__all__ = ["Baseline", "Known", "read_baseline", "write_baseline"]

_FORMAT = 1


@dataclass(frozen=True)
class Known:
    """One known cause.

    Attributes:
        kind: of the finding.
        cause: of the finding.
        test: the test that shows it at the smallest place.
        place: that place, which is always played again.
        tests: the tests that have shown it.
    """

    kind: str
    cause: str
    test: str
    place: str
    tests: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """As of a finding."""
        return (self.kind, self.cause)


@dataclass(frozen=True)
class Baseline:
    """What is known."""

    entries: tuple[Known, ...] = ()

    def knows(self, key: tuple[str, str]) -> bool:
        """Whether a finding with this key is known."""
        return any(entry.key == key for entry in self.entries)

    def places_of(self, test: str) -> list[Place]:
        """The places of a test that show what is known."""
        found = [Place.parse(entry.place) for entry in self.entries if entry.test == test]
        return [place for place in found if place is not None]

    def gone(self, found: Iterable[Finding], played: Collection[tuple[str, str]]) -> list[Known]:
        """The entries that were not found any more, though their place was played.

        Args:
            found: what was found.
            played: the tests and places that were played.
        """
        keys = {one.key for one in found}
        return [one for one in self.entries if one.key not in keys and (one.test, one.place) in played]

    def updated(self, found: Iterable[Finding], played: Collection[tuple[str, str]]) -> Baseline:
        """What is known after a session: what it found, and what it could not look for."""
        found = list(found)
        gone = {entry.key for entry in self.gone(found, played)}
        entries = {entry.key: entry for entry in self.entries if entry.key not in gone}
        tests = {test for test, _place in played}
        for group in grouped(found):
            first = group.smallest
            before = entries.get(first.key)
            unplayed = [test for test in before.tests if test not in tests] if before is not None else []
            shown_by = tuple(sorted({*group.tests, *unplayed}))
            entries[first.key] = Known(first.kind, first.cause, first.test, first.place, shown_by)
        return Baseline(tuple(entries[key] for key in sorted(entries)))

    def to_json(self) -> dict[str, Any]:
        """What the file says."""
        return {
            "format": _FORMAT,
            "findings": [{**asdict(one), "tests": list(one.tests)} for one in self.entries],
        }


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file; an empty one if there is no file.

    Raises:
        ValueError: it is no baseline; one sentence says why.
    """
    if not path.exists():
        return Baseline()
    try:
        data = json.loads(read_text(path))
    except (CannotRead, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no baseline of a storm: {error}") from None
    if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
        raise ValueError(
            f'{path} is no baseline of a storm: it must be a JSON object with "format": {_FORMAT}'
        )
    findings = data.get("findings")
    if not isinstance(findings, list):
        raise ValueError(f'{path} is no baseline of a storm: "findings" must be a list')
    return Baseline(tuple(_known(path, number, one) for number, one in enumerate(findings, start=1)))


def _known(path: Path, number: int, data: object) -> Known:
    texts = ("kind", "cause", "test", "place")
    if (
        not isinstance(data, Mapping)
        or not all(isinstance(data.get(name), str) for name in texts)
        or not isinstance(data.get("tests"), list)
        or not all(isinstance(test, str) for test in data["tests"])
    ):
        raise ValueError(
            f"{path} is no baseline of a storm: finding {number} must have kind, cause, test and place (texts) and "
            "tests (a list of texts)"
        )
    return Known(data["kind"], data["cause"], data["test"], data["place"], tuple(data["tests"]))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(baseline.to_json(), indent=2, ensure_ascii=True) + "\n")
