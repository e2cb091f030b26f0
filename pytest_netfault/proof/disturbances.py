"""What disturbed the way between the store and a subscriber, for a promise that begins anew after each outage.

The link says when a fault began or ended and when a connection was opened or ended, and the server when it was stopped
or started. That is looked at after each step, and again and again at the end. Deliveries are counted before the store
is asked for its revision: so what is noted is never too early.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_netfault.checks.trace import Disturbance, Disturber
from pytest_netfault.events import LinkEvent

__all__ = ["Disturbances"]

_OF_FAULTS = ("fault", "hit", "heal")
# Not "closed": the last of a connection may go long after its end, which was disturbance enough.
_OF_CONNECTIONS = ("accepted", "upstream_failed", "fin", "rst")


class Disturbances:
    """The last disturbance by the network, and the last one by the client, since the subscription began.

    Args:
        link: what happened on the link so far.
        server: how often the server was stopped or started so far.
    """

    def __init__(self, link: Callable[[], Sequence[LinkEvent]], server: Callable[[], int]) -> None:
        self._link = link
        self._server = server
        self._seen = (0, 0)
        self._last: dict[Disturber, Disturbance] = {}
        self._pending: set[Disturber] = set()

    @property
    def last(self) -> tuple[Disturbance, ...]:
        """At most one by each, in the order of their revisions."""
        return tuple(sorted(self._last.values(), key=lambda one: (one.revision, one.after_item, one.by)))

    def begin(self) -> None:
        """The subscription begins: what was before does not count."""
        self._look()
        self._pending.clear()

    def note(self, delivered: int, revision: Callable[[], int]) -> None:
        """Note what is new, if anything is.

        Args:
            delivered: how many deliveries there have been.
            revision: asks the store, which must be able to answer.
        """
        self._look()
        if self._pending:
            now = revision()
            for by in self._pending:
                self._last[by] = Disturbance(now, delivered, by)
            self._pending.clear()

    def _look(self) -> None:
        events, troubles = self._link(), self._server()
        for event in events[self._seen[0] :]:
            if event.kind in _OF_FAULTS or (event.kind in _OF_CONNECTIONS and event.by == "netfault"):
                self._pending.add("network")
            elif event.kind in _OF_CONNECTIONS:
                self._pending.add("client")
        if troubles > self._seen[1]:
            self._pending.add("network")
        self._seen = len(events), troubles
