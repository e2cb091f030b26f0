"""Sends writes and settles those without a verdict: the effects around `writes`."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

from runtime_config import errors
from runtime_config._etcd import messages
from runtime_config._etcd.calls import Calls
from runtime_config._etcd.grpc_status import CallFailed
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.records import Entry
from runtime_config._etcd.writes import Write, current, first_broken, found_absent


class ComparisonFailed(Exception):
    """A comparison did not hold: `index` says which, `entry` what the key holds. Becomes a `Conflict` in the store."""

    def __init__(self, index: int, entry: Entry | None) -> None:
        super().__init__(index)
        self.index = index
        self.entry = entry


class Writer:
    """Makes the writes of one store, and remembers the store's latest revision (the floor for fences)."""

    def __init__(self, calls: Calls, layout: Layout) -> None:
        self._calls = calls
        self._layout = layout
        self._floor = 0

    def saw(self, revision: int) -> None:
        """A reply carried this revision. The latest one counts, not the highest: a replaced store starts over."""
        self._floor = revision

    def write(self, write: Write, timeout: float | None) -> tuple[int, Any]:
        """Apply a write; return its revision and the reply, or None for the reply if only its write id was found.

        A write with `if_present` that found nothing returns a reply that did not succeed.

        Raises ComparisonFailed. A write with comparisons is repeated after a lost reply: at most one attempt can
        succeed, and the write id tells whether that was ours.
        """
        deadline = time.monotonic() + (self._calls.timeout if timeout is None else timeout)
        first_floor = self._floor
        while True:
            floor, lost = self._floor, threading.Event()
            reply = self._calls.call(
                "Txn",
                write.request(self._layout, floor),
                kind="read" if not write.puts else "repeatable" if write.expects else "write",
                timeout=max(0.001, deadline - time.monotonic()),
                unknown=partial(self._unknown, write, first_floor),
                on_lost=lost.set,
            )
            self.saw(int(reply.header.revision))
            if reply.succeeded:
                return int(reply.header.revision), reply
            if lost.is_set():
                mine = self._find(write, first_floor, deadline)
                if mine is not None:
                    return mine, None
            held = current(write, reply)
            at = first_broken(write, held)
            if at is not None:
                raise ComparisonFailed(at, held[at])
            if found_absent(write, reply):
                return int(reply.header.revision), reply
            # Only the fence failed, which `settle` of some other write has touched: not applied, so try again.

    def _find(self, write: Write, floor: int, deadline: float) -> int | None:
        """The revision of an earlier attempt whose reply was lost; None if none was or will be applied."""
        try:
            return self.settle(write.write_id, floor, max(0.001, deadline - time.monotonic()))
        except errors.ConfigError as error:
            raise self._unknown(
                write, floor, f"the reply to an earlier attempt was lost, and it cannot be settled: {error}"
            ) from error

    def settle(self, write_id: str, floor: int, timeout: float | None) -> int | None:
        """The revision at which this write was applied; None if it was not, and now never will be.

        Raises OutcomeUnknown when the history that would tell is gone, Unavailable when no server answers.
        """
        deadline = time.monotonic() + (self._calls.timeout if timeout is None else timeout)
        request = messages.transaction(
            (),
            [
                messages.op_put(self._layout.fence(write_id), write_id.encode()),
                messages.op_read(self._layout.slot(write_id)),
            ],
        )
        try:
            # Touching a fence is idempotent, so this may be repeated like a read.
            reply = self._calls.call("Txn", request, kind="read", timeout=timeout)
            self.saw(int(reply.header.revision))
            return self._search(write_id, messages.found(reply.responses[1]), floor, deadline)
        except CallFailed as error:
            raise errors.OutcomeUnknown(
                f"the history that would tell is gone: {error.details}", write_id=write_id, floor=floor
            ) from error

    def _search(self, write_id: str, slot: Entry | None, floor: int, deadline: float) -> int | None:
        """Search the log of ids in a slot backwards, down to the revision before the write."""
        wanted = write_id.encode()
        while slot is not None and slot.revision > floor:
            if slot.value == wanted:
                return slot.revision
            request = messages.read(self._layout.slot(write_id), revision=slot.revision - 1)
            reply = self._calls.call(
                "Range", request, kind="read", timeout=max(0.001, deadline - time.monotonic())
            )
            slot = messages.entry(reply.kvs[0]) if reply.kvs else None
        return None

    def _unknown(self, write: Write, floor: int, text: str) -> errors.OutcomeUnknown:
        name = write.puts[0].name if write.puts else ""
        return errors.OutcomeUnknown(
            f"the write of {name!r} may or may not have been applied ({text}); store.settle(error) finds out",
            key=name,
            write_id=write.write_id,
            floor=floor,
        )
