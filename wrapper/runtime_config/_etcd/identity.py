"""The identity of a store: a random name below its root, made once, by which a replaced store is recognised."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from runtime_config import errors
from runtime_config._etcd import messages
from runtime_config._etcd.calls import Calls
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.reader import Reader

log = logging.getLogger("runtime_config")

# After these refusals creating the identity is left to another client: a reader has no right to create it, and a server
# whose database is full has no room for it.
NOT_OURS_TO_CREATE = (errors.PermissionDenied, errors.StoreFull)


def creation(layout: Layout) -> Any:
    """The transaction that creates the identity unless there is one. Idempotent."""
    value = secrets.token_hex(16).encode()
    return messages.transaction([messages.absent(layout.identity)], [messages.op_put(layout.identity, value)])


def identify(
    layout: Layout, read: Callable[[Any], Any], create: Callable[[Any], bool]
) -> tuple[bytes | None, int]:
    """Return the identity and the revision of that read, creating one if there is none.

    `read` and `create` make the calls; `create` returns False where that was refused (see `NOT_OURS_TO_CREATE`). Then
    there may be no identity until another client creates one.
    """
    for _ in range(2):
        reply = read(messages.read(layout.identity))
        if reply.kvs or not create(creation(layout)):
            break
    else:
        reply = read(messages.read(layout.identity))
    return (reply.kvs[0].value if reply.kvs else None), int(reply.header.revision)


def establish(calls: Calls, reader: Reader, layout: Layout, seconds: float) -> int:
    """Reach the server and make sure that the store has an identity; return the revision of that read.

    Done before the first write: created later, the identity would be a revision between those of our writes.
    """
    deadline = time.monotonic() + seconds

    def left() -> float:
        return max(0.001, deadline - time.monotonic())

    def create(request: Any) -> bool:
        try:
            calls.call("Txn", request, kind="read", timeout=left())
        except NOT_OURS_TO_CREATE as error:
            log.info("the root has no identity yet: %s", error)
            return False
        return True

    return identify(layout, lambda request: reader.fetch(request, left()), create)[1]
