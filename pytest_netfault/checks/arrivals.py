"""Whether a run put anything to the test: which updates were expected, and which of them arrived under a fault.

A stream that breaks no guarantee proves something only if at least one update that the subscription covers arrived
while a fault that met traffic held, or after it. What arrived before shows that the client works on a whole network,
and what was there when the subscription began was never at risk.

A subscriber that promises to come back shows that by what was committed after the last disturbance by the network.

Only the first arrival of an update counts: whoever repeats what arrived before the fault shows nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_netfault.checks.trace import Delivered, Resynced, Trace

__all__ = ["count_arrivals"]


def count_arrivals(trace: Trace, times: Sequence[float], since: float | None) -> tuple[int, int]:
    """How many updates were expected, and how many of them first arrived at ``since`` or later.

    Args:
        trace: the stream and the log.
        times: when each item of the stream was delivered.
        since: when the first fault that met traffic came into force; None if there was none.

    >>> from pytest_netfault.checks.trace import Filter, LogEvent, Revision, TraceEvent
    >>> log = tuple(Revision(n, (LogEvent("put", "k", str(n)),)) for n in (2, 3, 4))
    >>> seen = tuple(Delivered((TraceEvent("put", "k", str(n), n),)) for n in (3, 4))
    >>> trace = Trace("every-event", Filter(), 2, log, seen, quiet_at_end=True)
    >>> [count_arrivals(trace, (10.0, 20.0), since) for since in (15.0, 25.0, None)]
    [(2, 1), (2, 0), (2, 0)]
    """
    floor = trace.start_revision_exclusive
    if trace.promise == "comes-back":
        floor = max(
            [floor, *(one.revision for one in trace.disturbances or () if one.by == "network")],
        )
    expected = {
        (entry.revision, event.key)
        for entry in trace.log
        if entry.revision > floor
        for event in entry.events
        if trace.filter.matches(event.key)
    }
    missing = set(expected)
    arrived = 0
    for item, time in zip(trace.stream, times, strict=False):
        if not missing:
            break
        if isinstance(item, Delivered):
            came = missing & {(event.revision, event.key) for event in item.events}
        elif isinstance(item, Resynced):
            came = {one for one in missing if one[0] <= item.revision}
        else:
            continue
        missing -= came
        if since is not None and time >= since:
            arrived += len(came)
    return len(expected), arrived
