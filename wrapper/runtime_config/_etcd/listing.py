"""Read everything in a range as of one revision, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime_config._etcd import messages
from runtime_config._etcd.grpc_status import CallFailed, Verdict
from runtime_config._etcd.layout import Layout, Range
from runtime_config._etcd.records import Entry

# Fetches one page: a request in, a reply out. Raises CallFailed or a ConfigError.
Fetch = Callable[[Any], Any]


def list_range(
    fetch: Fetch, span: Range, layout: Layout, *, keys_only: bool = False, stale_ok: bool = False
) -> tuple[list[tuple[str, Entry]], int]:
    """Return the named entries of a range and the revision that all of them are from.

    The first page fixes the revision, and the others are read at that one. If the history up to it is compacted in
    between, the pages would no longer be consistent, and the listing starts again.
    """
    while True:
        try:
            return _pages(fetch, span, layout, keys_only, stale_ok)
        except CallFailed as failed:  # noqa: PERF203 - one pass is the rule
            if failed.verdict is not Verdict.COMPACTED:
                raise


def _pages(
    fetch: Fetch, span: Range, layout: Layout, keys_only: bool, stale_ok: bool
) -> tuple[list[tuple[str, Entry]], int]:
    entries: list[tuple[str, Entry]] = []
    start, revision = span.start, 0
    while True:
        request = messages.read(
            Range(start, span.end),
            revision=revision,
            limit=messages.PAGE,
            keys_only=keys_only,
            stale_ok=stale_ok,
        )
        reply = fetch(request)
        revision = revision or reply.header.revision
        for kv in reply.kvs:
            name = layout.name(kv.key)
            if name is not None:
                entries.append((name, messages.entry(kv)))
        if not reply.more or not reply.kvs:
            return entries, revision
        start = reply.kvs[-1].key + b"\0"


def list_revisions(fetch: Fetch, layout: Layout) -> tuple[dict[str, int], int, int]:
    """Return the revision of each name's last write, the revision of the listing, and the newest write below the root.

    The last of the three includes the wrapper's own identity key; a deleted key no longer counts.
    """
    newest = 0

    def noting(request: Any) -> Any:
        nonlocal newest
        reply = fetch(request)
        newest = max([newest, *(kv.mod_revision for kv in reply.kvs)])
        return reply

    entries, revision = list_range(noting, layout.whole, layout, keys_only=True)
    return {name: entry.revision for name, entry in entries}, revision, newest
