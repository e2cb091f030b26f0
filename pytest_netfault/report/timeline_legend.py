"""What the signs of a picture mean: only those that are in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pytest_netfault.report.timeline import LaneKind, Mark, Timeline

__all__ = ["SIGNS", "Entry", "legend"]


class Entry(NamedTuple):
    """A line of the legend.

    Attributes:
        sign: which of ``SIGNS``.
        tone: its colour.
        words: what it means.
    """

    sign: str
    tone: str
    words: str


#: The signs as SVG, within 22 by 14.
SIGNS = {
    "bar": '<rect class="fill" y="2" width="22" height="10"/>',
    "open": '<path class="dash" d="M22 2H1V12H22"/>',
    "frame": '<rect class="line" x="1" y="2" width="20" height="10"/>',
    "diamond": '<path class="fill" d="M11 1L17 7L11 13L5 7Z"/>',
    "dot": '<circle class="fill" cx="11" cy="7" r="5"/>',
    "flag": '<path class="line" d="M8 14V1"/><path class="fill" d="M8 0L16 4L8 8Z"/>',
    "cross": '<path class="line" d="M6 2L16 12M16 2L6 12"/>',
    "pipe": '<rect class="pale" y="2" width="22" height="10"/><path class="line" d="M1 2V12M21 2V12"/>',
    "held": '<rect class="pale" y="0" width="22" height="14"/><path class="line" d="M1 0V14M21 0V14"/>',
    "way": '<path class="line" d="M2 13L20 1"/>',
    "lost way": '<path class="dash" d="M2 13L20 1"/>',
}

_Shown = Callable[[LaneKind, Mark], bool]

# From top to bottom of a picture; a mark is explained by the first that it fits.
_MARKS: tuple[tuple[Entry, _Shown], ...] = (
    (
        Entry("cross", "lost", "never arrived"),
        lambda _, mark: mark.tone == "lost" and mark.shape in ("cross", "dot"),
    ),
    (
        Entry("diamond", "lost", "committed, never arrived"),
        lambda _, mark: mark.tone == "lost" and mark.shape == "diamond",
    ),
    (Entry("open", "unknown", "outcome unknown, left open"), lambda _, mark: mark.tone == "unknown"),
    (
        Entry("frame", "bad", "rejected"),
        lambda kind, mark: kind == "calls" and mark.tone == "bad",
    ),
    (Entry("bar", "good", "acknowledged"), lambda kind, _: kind == "calls"),
    (Entry("diamond", "good", "committed"), lambda kind, mark: kind == "revisions" and mark.tone == "good"),
    (
        Entry("diamond", "plain", "committed, not subscribed to"),
        lambda kind, _: kind == "revisions",
    ),
    (Entry("held", "fault", "a fault holds"), lambda kind, mark: kind == "faults" and mark.shade is not None),
    (Entry("bar", "fault", "a fault that changed nothing"), lambda kind, _: kind == "faults"),
    (
        Entry("pipe", "plain", "a connection"),
        lambda kind, mark: kind == "connections" and mark.shape == "bar",
    ),
    (
        Entry("cross", "fault", "ended by a fault or the link"),
        lambda kind, mark: kind == "connections" and mark.shape == "cut",
    ),
    (
        Entry("cross", "plain", "reset by a peer"),
        lambda kind, mark: kind == "connections" and mark.shape == "cross",
    ),
    (
        Entry("flag", "fault", "a fault meets traffic"),
        lambda kind, mark: kind == "connections" and mark.tone == "fault",
    ),
    (
        Entry("flag", "plain", "closed by a peer"),
        lambda kind, mark: kind == "connections" and mark.tone == "plain",
    ),
    (
        Entry("flag", "bad", "something went wrong"),
        lambda _, mark: mark.tone == "bad" and mark.shape == "flag",
    ),
    (Entry("dot", "bad", "arrived, and is wrong"), lambda _, mark: mark.tone == "bad"),
    (
        Entry("diamond", "good", "a snapshot arrived"),
        lambda kind, mark: kind == "deliveries" and mark.shape == "diamond",
    ),
    (
        Entry("dot", "good", "arrived"),
        lambda kind, mark: kind == "deliveries" and mark.shape == "dot",
    ),
    (Entry("flag", "plain", "a remark"), lambda _, mark: mark.shape == "flag"),
)


def legend(timeline: Timeline) -> tuple[Entry, ...]:
    """The signs that are in a picture, with their meanings.

    >>> from pytest_netfault.report.timeline import Lane
    >>> lanes = (Lane("arrived", "Arrived", "deliveries"),)
    >>> marks = (Mark("e1", "arrived", 1.0, 1.0, "3 never arrived", tone="lost", shape="cross"),)
    >>> [entry.words for entry in legend(Timeline("A loss", lanes, marks))]
    ['never arrived']
    """
    kinds = {lane.id: lane.kind for lane in timeline.lanes}
    used = set()
    for kind, mark in {(kinds[mark.lane], _looks(mark)) for mark in timeline.marks}:
        used.add(next((entry for entry, fits in _MARKS if fits(kind, mark)), None))
    ways = []
    if any(flow.lost for flow in timeline.flows):
        ways.append(Entry("lost way", "lost", "the way of an update that was lost"))
    if any(not flow.lost and not flow.wrong for flow in timeline.flows):
        ways.append(Entry("way", "plain", "the way of an update"))
    if any(flow.wrong for flow in timeline.flows):
        ways.append(Entry("way", "bad", "it went this way once too often, or in parts"))
    return (*(entry for entry, _ in _MARKS if entry in used), *ways)


def _looks(mark: Mark) -> Mark:
    """The mark without all that no sign depends on."""
    shade = None if mark.shade is None else (0.0, 0.0)
    return Mark("", "", 0.0, 0.0, "", tone=mark.tone, shape=mark.shape, shade=shade)
