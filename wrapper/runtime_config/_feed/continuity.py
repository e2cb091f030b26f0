"""Can a watch be resumed? Only if the store is the same one, and still has all history from the cursor on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime_config import errors
from runtime_config._etcd import messages
from runtime_config._etcd.calls import Calls
from runtime_config._etcd.channel import Channel
from runtime_config._etcd.grpc_status import CallFailed, Verdict, final_error
from runtime_config._etcd.identity import NOT_OURS_TO_CREATE, identify
from runtime_config._etcd.layout import Layout
from runtime_config.values import Reason


class Continuity:
    """Knows the store's identity, and the gap in what can be delivered, if there is one. For the feed's thread."""

    def __init__(
        self, calls: Calls, layout: Layout, read: Callable[[Channel, Any], Any], seconds: float
    ) -> None:
        self._calls, self._layout, self._read, self._seconds = calls, layout, read, seconds
        self.identity: bytes | None = None
        self._may_create = True
        #: Why single changes cannot be delivered: everything has to be listed before the next watch.
        self.gap: Reason | None = None

    def identify(self, channel: Channel) -> int:
        """Read the store's identity, creating it if there is none; return the revision of that read."""

        def create(request: Any) -> bool:
            if not self._may_create:
                return False
            try:
                self._calls.once(channel, "Txn", request, self._seconds)
            except CallFailed as failed:
                error = final_error(failed.code, failed.details)
                if failed.verdict is not Verdict.FINAL or not isinstance(error, NOT_OURS_TO_CREATE):
                    raise
                self._may_create = not isinstance(error, errors.PermissionDenied)
                return False
            return True

        self.identity, revision = identify(self._layout, lambda request: self._read(channel, request), create)
        return revision

    def check(self, channel: Channel, delivered: int) -> None:
        """Set `gap` unless everything after the revision `delivered` can be had from this store.

        The identity is read as it was at that revision: this needs the same store and its history. Reading at
        `delivered`, rather than just watching from the next revision, also finds the case that history was compacted
        up to exactly the next one: a watch from there is accepted, and servers before 3.5.18 lose a delete
        at that very revision.
        """
        if self.gap is not None:
            return
        try:
            reply = self._read(channel, messages.read(self._layout.identity, revision=delivered))
        except CallFailed as failed:
            if failed.verdict is Verdict.COMPACTED:
                self.gap = "compacted"
            elif failed.verdict is Verdict.FUTURE:
                self.gap = "store_replaced"
            else:
                raise
            return
        identity = reply.kvs[0].value if reply.kvs else None
        if identity != self.identity:
            self.gap = "store_replaced"

    def identify_again(self, channel: Channel) -> Reason:
        """Read the identity before listing; return why single changes cannot be delivered.

        That the store was replaced is remembered until the listing has succeeded: the next attempt finds the new
        identity already known, and its revisions may be lower than what was delivered.
        """
        known = self.identity
        self.identify(channel)
        if known is not None and self.identity != known:
            self.gap = "store_replaced"
        assert self.gap is not None
        return self.gap
