"""The random name of a store, below its root: made once, and by it a replaced store is recognised."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from runtime_config import _messages, errors
from runtime_config._layout import Layout

# With these refusals the identity is left to somebody else: a reader has no right to make it, and a server whose
# database is full has no room for it.
LEFT = (errors.PermissionDenied, errors.StoreFull)


def creation(layout: Layout) -> Any:
    """The transaction that makes the identity unless there is one. Repeating it does no harm."""
    value = secrets.token_hex(16).encode()
    return _messages.transaction(
        [_messages.absent(layout.identity)], [_messages.op_put(layout.identity, value)]
    )


def identify(
    layout: Layout, read: Callable[[Any], Any], create: Callable[[Any], bool]
) -> tuple[bytes | None, int]:
    """Return the identity and the revision of that read, making one if there is none.

    `read` and `create` make the calls; `create` returns False where that was refused (see `LEFT`). Then there may be no
    identity, until somebody else makes one.
    """
    for _ in range(2):
        reply = read(_messages.read(layout.identity))
        if reply.kvs or not create(creation(layout)):
            break
    else:
        reply = read(_messages.read(layout.identity))
    return (reply.kvs[0].value if reply.kvs else None), int(reply.header.revision)
