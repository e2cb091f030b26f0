"""Reads below one root, each with a deadline. Every linearizable listing is reported as a revision that was seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from runtime_config._etcd import messages
from runtime_config._etcd.calls import Calls
from runtime_config._etcd.grpc_status import CallFailed, final_error
from runtime_config._etcd.layout import Layout, Range
from runtime_config._etcd.listing import list_range
from runtime_config._etcd.records import Entry


class Reader:
    """Raises Unavailable, DeadlineExceeded and what `errors` has for refusals. Safe to use from any thread."""

    def __init__(self, calls: Calls, layout: Layout, saw: Callable[[int], None]) -> None:
        self._calls, self._layout, self._saw = calls, layout, saw

    def fetch(self, request: Any, seconds: float, *, leader: bool = True) -> Any:
        """The reply to one Range request."""
        try:
            return self._calls.call("Range", request, kind="read", timeout=seconds, leader=leader)
        except CallFailed as failed:
            raise final_error(failed.code, failed.details) from failed

    def entry(self, name: str, seconds: float, *, stale_ok: bool = False) -> Entry | None:
        """What one key holds; with `stale_ok` as any member knows it, one without a quorum included."""
        request = messages.read(self._layout.raw(name), stale_ok=stale_ok)
        reply = self.fetch(request, seconds, leader=not stale_ok)
        return messages.entry(reply.kvs[0]) if reply.kvs else None

    def entries(
        self, span: Range, seconds: float, *, stale_ok: bool = False
    ) -> tuple[list[tuple[str, Entry]], int]:
        """Everything in a range, all as of the revision that comes with it."""
        fetch = self.fetch_until(time.monotonic() + seconds, leader=not stale_ok)
        entries, revision = list_range(fetch, span, self._layout, stale_ok=stale_ok)
        if not stale_ok:
            self._saw(revision)
        return entries, revision

    def fetch_until(self, deadline: float, *, leader: bool = True) -> Callable[[Any], Any]:
        """A function that fetches one page after another until `deadline`, on the clock of `time.monotonic`.

        It raises CallFailed where the history was compacted between two pages: the listing then starts again.
        """
        return lambda request: self._calls.call(
            "Range", request, kind="read", timeout=max(0.001, deadline - time.monotonic()), leader=leader
        )
