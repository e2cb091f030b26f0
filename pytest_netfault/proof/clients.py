"""Opening and closing the client under test, with bounds around both.

Rules of this file: every call of a client is made on a thread of the kit's (``calls.py``); whoever opens closes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_netfault.proof.calls import Caller
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline, ask
from pytest_netfault.store import OpenStore, Store

__all__ = ["Writer", "close_client", "open_client"]

# How long a thread may take to end that has nothing left to do.
_JOIN_SECONDS = 0.05


def open_client(
    caller: Caller, open_store: OpenStore, address: str, deadline: Deadline = NO_DEADLINE
) -> Store:
    store: Store = ask(caller, deadline, f"open_store({address!r})", open_store, address)
    missing = [name for name in ("put", "delete", "subscribe", "close") if not hasattr(store, name)]
    if missing:
        raise TypeError(
            f"open_store must return a Store; {store!r} has no {' and no '.join(missing)} (see pytest_netfault.Store)"
        )
    return store


def close_client(store: Store, caller: Caller, timeout: float) -> bool:
    # On a thread of its own: the client's other calls may hang until this very call ends them.
    closer = Caller("closer")
    call = closer.submit(store.close)
    in_time = call.wait(timeout)
    caller.close(_JOIN_SECONDS if in_time else 0.0)
    closer.close(_JOIN_SECONDS if in_time else 0.0)
    return in_time


@dataclass
class Writer:
    """The client that reaches the store directly. It outlives a run, so that opening it is paid for once."""

    open_store: OpenStore
    address: str
    deadline: Deadline = NO_DEADLINE
    store: Store = field(init=False)
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self.caller = Caller("direct writer")
        try:
            self.store = open_client(self.caller, self.open_store, self.address, self.deadline)
        except BaseException:
            self.caller.close()
            raise

    def renew(self, timeout: float) -> None:
        """Open a new one: after a restart of the server the old one may fail writes for a second or more."""
        self.close(timeout)
        self._open()

    def close(self, timeout: float) -> bool:
        """Close it; return whether it closed within ``timeout`` seconds, or what is left of them."""
        return close_client(self.store, self.caller, self.deadline.for_closing(timeout))
