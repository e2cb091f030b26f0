"""Log records on a time axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from pytest_netfault.report.timeline import Mark

__all__ = ["LogLine", "log_marks"]

_TITLE = 120
_ERROR = 40  # logging.ERROR


@dataclass(frozen=True)
class LogLine:
    """A record of Python's logging.

    Attributes:
        time: when it was made, ``time.monotonic()`` in seconds.
        level: its number, as ``logging.WARNING``.
        level_name: what that is called.
        logger: the name of the logger.
        message: its text.
        source: ``file:line`` of the call.
    """

    time: float
    level: int
    level_name: str
    logger: str
    message: str
    source: str = ""

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object of the same names."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def log_marks(lines: Iterable[LogLine], *, since: float, until: float, lane: str) -> list[Mark]:
    """A flag for each record that was made between these times; errors are marked.

    >>> line = LogLine(2.5, 30, "WARNING", "shop", "no answer", "shop.py:7")
    >>> [mark] = log_marks([line], since=2.0, until=3.0, lane="log")
    >>> mark.start, mark.label, mark.short, mark.tone
    (0.5, 'WARNING shop: no answer', 'WARNING', 'plain')
    """
    return [
        Mark(
            f"log{number}",
            lane,
            line.time - since,
            line.time - since,
            _short(f"{line.level_name} {line.logger}: {line.message}"),
            line.level_name,
            tone="bad" if line.level >= _ERROR else "plain",
            shape="flag",
            details=(
                *([("message", line.message)] if "\n" in line.message or len(line.message) > _TITLE else []),
                *([("logged at", line.source)] if line.source else []),
            ),
        )
        for number, line in enumerate(lines)
        if since <= line.time <= until
    ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE else f"{line[: _TITLE - 3]}..."
