"""Read everything in a range as of one revision, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime_config import _messages
from runtime_config._calls import CallFailed
from runtime_config._layout import Layout, Range
from runtime_config._messages import Entry
from runtime_config._status import Verdict

# What a page is fetched with: a request in, a reply out. Raises CallFailed or a ConfigError.
Fetch = Callable[[Any], Any]


def list_range(
    fetch: Fetch, span: Range, layout: Layout, *, keys_only: bool = False, stale_ok: bool = False
) -> tuple[list[tuple[str, Entry]], int]:
    """Return the named entries of a range and the revision that all of them are from.

    The first page tells the revision, and the others ask for that one. When the history up to it is dropped in
    between, the pages would not fit together any more, and the listing starts again.
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
        request = _messages.read(
            Range(start, span.end),
            revision=revision,
            limit=_messages.PAGE,
            keys_only=keys_only,
            stale_ok=stale_ok,
        )
        reply = fetch(request)
        revision = revision or reply.header.revision
        for kv in reply.kvs:
            name = layout.name(kv.key)
            if name is not None:
                entries.append((name, _messages.entry(kv)))
        if not reply.more or not reply.kvs:
            return entries, revision
        start = reply.kvs[-1].key + b"\0"
