"""The bundled wrapper behind the methods that the proof kit needs of a client under test.

It is about as much code as the naive loop next to it, because what is hard is the wrapper's business: whatever its
subscription hands out becomes a `Delivery`, and whatever its writes raise is sorted into "certainly not applied" and
"unknown".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime_config import (
    Changes,
    ConfigError,
    ConfigStore,
    Item,
    Key,
    OutcomeUnknown,
    Resynced,
    Section,
    Snapshot,
    Undecodable,
    Updated,
)
from runtime_config.stored import stored_name

from pytest_netfault import Delivery, Event, Resync, WriteRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RuntimeConfigStore", "open_store"]

ROOT = "/netfault"
# A proof asks for many outages in little time, so a dead link should be noticed sooner than the default of 20 s, and a
# write should not spend its time on waiting for a server that cannot be reached.
DEAD_AFTER_SECONDS = 1.5
WRITE_SECONDS = 1.0


class RuntimeConfigStore:
    """A store of configuration on `runtime_config`."""

    def __init__(self, address: str) -> None:
        self._store = ConfigStore(address, root=ROOT, patience=0, dead_after=DEAD_AFTER_SECONDS)

    def put(self, key: str, value: str) -> None:
        with _told_apart():
            self._store.set(Key(_name(key), str), value, timeout=WRITE_SECONDS)

    def delete(self, key: str) -> None:
        with _told_apart():
            self._store.delete(Key(_name(key), str), timeout=WRITE_SECONDS)

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        with _told_apart(), self._store.transaction(timeout=WRITE_SECONDS) as txn:
            for key, value in changes.items():
                if value is None:
                    txn.delete(Key(_name(key), str))
                else:
                    txn.set(Key(_name(key), str), value)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        self._store.on_change(Section(_name(prefix).rstrip(".")), lambda item: deliver(_delivery(item)))

    def close(self) -> None:
        self._store.close()

    def decode(self, key: bytes, value: bytes | None) -> tuple[str, str | None] | None:
        name = stored_name(key, ROOT)
        return None if name is None else (name, None if value is None else value.decode())


def _name(key: str) -> str:
    """The wrapper's name of a key, which may be a path below the root, such as `etcd_server.prefix + "limit"`."""
    return key.removeprefix(f"{ROOT}/").replace("/", ".")


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except OutcomeUnknown:
        raise
    except ConfigError as error:
        raise WriteRejected(str(error)) from error


def _delivery(item: Item) -> Delivery:
    if isinstance(item, Changes):
        return Delivery(
            events=tuple(
                Event(
                    change.key.name, _text(change.new) if isinstance(change, Updated) else None, item.revision
                )
                for change in item.changes
            )
        )
    if isinstance(item, Snapshot | Resynced):
        return Delivery(
            resync=Resync(item.revision, {name: _text(held) for name, held in item.values.items()})
        )
    assert isinstance(item, Undecodable)
    return Delivery(error=str(item.error))


def _text(value: str | bytes) -> str:
    """Keys that this process has not declared arrive as bytes."""
    return value.decode() if isinstance(value, bytes) else value


open_store = RuntimeConfigStore
