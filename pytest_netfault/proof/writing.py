"""The writes of one run: what each step changes, the calls that were made for it, and what is known of them.

No write is retried, whatever it raised. One that was not answered is unknown, and later ones of the same client wait
behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pytest_netfault.common.printable import error_words
from pytest_netfault.proof.calls import Call, Caller
from pytest_netfault.proof.recording import Outcome, WriteRecord
from pytest_netfault.schedules.steps import Delete, Via, Write, WriteMany
from pytest_netfault.store import OpenStore, Store, WriteRejected

__all__ = ["Writing", "rejections"]

Changes = tuple[tuple[str, "str | None"], ...]


def rejections(open_store: OpenStore) -> tuple[type[BaseException], ...]:
    """The exceptions by which a client says that a write was certainly not applied."""
    named: Any = getattr(open_store, "rejected", ())
    return (WriteRejected, *(named if isinstance(named, Iterable) else (named,)))


class Writing:
    """Every write of a run, in order.

    Args:
        namespace: what keys begin with.
        open_store: names the exceptions that mean "certainly not applied".
    """

    def __init__(self, namespace: str, open_store: OpenStore) -> None:
        self._namespace = namespace
        self._open_store = open_store
        self._values: dict[str, str] = {}
        self._calls: list[tuple[int | None, Via, Changes, Call]] = []

    def make(
        self, place: int | None, step: Write | Delete | WriteMany, store: Store, caller: Caller
    ) -> Iterator[Call]:
        """Submit what a step writes, and yield the calls one after another.

        Args:
            place: of the step; None for a last write.
            step: which.
            store: the client that writes.
            caller: on whose thread.
        """
        changes = self._changes(step, f"v{place}" if place is not None else f"last{self._last_writes + 1}")
        many = getattr(store, "put_many", None)
        if isinstance(step, WriteMany) and callable(many):
            made = [(changes, caller.submit(many, dict(changes)))]
        else:
            made = [((change,), caller.submit(*_plain_write(store, change))) for change in changes]
        for one, call in made:
            self._calls.append((place, step.via, one, call))
            yield call

    @property
    def all_done(self) -> bool:
        """Whether every call has returned."""
        return all(call.done for *_, call in self._calls)

    def records(self) -> tuple[WriteRecord, ...]:
        """What is known of each write by now."""
        return tuple(self._record(*call) for call in self._calls)

    @property
    def _last_writes(self) -> int:
        return sum(place is None for place, *_ in self._calls)

    def _changes(self, step: Write | Delete | WriteMany, value: str) -> Changes:
        if isinstance(step, Delete):
            return ((f"{self._namespace}.{step.key}", None),)
        if isinstance(step, WriteMany):
            puts = [(f"{self._namespace}.{key}", value) for key in step.keys]
            self._values.update(dict(puts))
            return (*puts, *((f"{self._namespace}.{key}", None) for key in step.deletes))
        key = f"{self._namespace}{'x' if step.beside else ''}.{step.key}"
        if step.repeat:
            value = self._values.get(key, value)
        self._values[key] = value
        return ((key, value),)

    def _record(self, place: int | None, via: Via, changes: Changes, call: Call) -> WriteRecord:
        outcome: Outcome = "info"
        if call.done and call.error is None:
            outcome = "ok"
        elif call.error is not None and isinstance(call.error, rejections(self._open_store)):
            outcome = "fail"
        error = "" if call.error is None else error_words(call.error)
        return WriteRecord(place, via, changes, outcome, call.begun, call.ended, error)


def _plain_write(store: Store, change: tuple[str, str | None]) -> tuple[Any, ...]:
    key, value = change
    return (store.delete, key) if value is None else (store.put, key, value)
