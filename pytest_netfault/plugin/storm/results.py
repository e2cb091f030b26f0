"""What became of one item of a storm, as it travels on its report from a worker to who sums up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_netfault.storm.findings import Finding

__all__ = ["ATTRIBUTE", "Result"]

# Of the report of the call phase.
ATTRIBUTE = "netfault_storm"


@dataclass(frozen=True)
class Result:
    """One place of one test.

    Attributes:
        test: its id.
        place: as it is written.
        plays: how many times the fault has struck there.
        reason: why nothing is known, if so.
        finding: what is wrong, if anything is.
    """

    test: str
    place: str
    plays: int = 0
    reason: str = ""
    finding: Finding | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        finding = self.finding.to_json() if self.finding is not None else None
        return {
            "test": self.test,
            "place": self.place,
            "plays": self.plays,
            "reason": self.reason,
            "finding": finding,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """What :meth:`to_json` wrote."""
        finding = Finding.from_json(data["finding"]) if data["finding"] else None
        return cls(data["test"], data["place"], data["plays"], data["reason"], finding)
