"""How a proof is divided into parts: ``"2/8"`` is the second of eight."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WHOLE", "Shard", "chosen_shard", "read_shard"]

# What CI systems set in each of the jobs that they run in parallel: the job's number, how many there are, and from
# what they count (docs.gitlab.com "Predefined variables", buildkite.com "Environment variables", circleci.com
# "Built-in environment variables", bazel.build "Test encyclopedia").
_SYSTEMS = (
    ("CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    ("BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
    ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    ("TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS", 0),
)
_AUTO = "auto"


@dataclass(frozen=True)
class Shard:
    """One part of a proof: of ``of`` parts this is number ``number``, from 1."""

    number: int
    of: int

    def holds(self, number: int) -> bool:
        """Whether what has this number, counted from 0, belongs to this part."""
        return number % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Shard(1, 1)


def chosen_shard(text: str, environment: Mapping[str, str] | None = None) -> Shard | None:
    """The part that was asked for; with ``"auto"`` that of this job of a CI system, or None where there is none.

    >>> chosen_shard("2/8"), chosen_shard("auto", {"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "4"})
    (Shard(number=2, of=8), Shard(number=1, of=4))

    Raises:
        ValueError: it is not of that form, or what the CI system says makes no sense.
    """
    if text != _AUTO:
        return read_shard(text)
    environment = os.environ if environment is None else environment
    for index, total, first in _SYSTEMS:
        number, of = environment.get(index), environment.get(total)
        if not number or not of:
            continue
        try:
            shard = read_shard(f"{int(number) - first + 1}/{int(of)}")
        except ValueError:
            raise ValueError(
                f"shard='auto' found {index}={number!r} and {total}={of!r}, which are no part of a number of jobs"
            ) from None
        if index == "TEST_SHARD_INDEX" and (status := environment.get("TEST_SHARD_STATUS_FILE")):
            Path(status).touch()  # tells Bazel that the test has taken its part
        return shard
    return None


def read_shard(text: str) -> Shard:
    """Read ``"2/8"``.

    >>> read_shard("2/8")
    Shard(number=2, of=8)

    Raises:
        ValueError: it is not of that form, or there is no such part.
    """
    given: object = text
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", given) if isinstance(given, str) else None
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"shard must be a number of a number, such as '2/8', not {text!r}")
    return Shard(int(match[1]), int(match[2]))
