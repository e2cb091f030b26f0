"""A service that runs on shared configuration and takes changes while it runs.

    python billing_service.py 127.0.0.1:2379

It prints a line for each thing that happens and ends with Ctrl-C.
"""

from __future__ import annotations

import logging
import sys
import threading
from dataclasses import dataclass

from runtime_config import (
    Changes,
    ConfigStore,
    Deleted,
    Item,
    Key,
    Resynced,
    Section,
    Snapshot,
    State,
    Undecodable,
)


@dataclass(frozen=True)
class Retry:
    attempts: int = 3
    pause: float = 0.5


# Declared once, imported wherever they are used. The type and the default belong to the key.
LIMIT = Key("billing.limit", int, default=100)
RETRY = Key("billing.retry", Retry, default=Retry())

say = logging.getLogger("billing").info


def on_item(item: Item) -> None:
    """Everything that can come out of a subscription."""
    if isinstance(item, Snapshot):
        say("started with limit %d at revision %d", item.values[LIMIT], item.revision)
    elif isinstance(item, Changes):
        for change in item.changes:
            new = "its default" if isinstance(change, Deleted) else change.new
            say("%s is now %s", change.key.name, new)
    elif isinstance(item, Resynced):
        # Intermediate values may be missing, but this is the current state, and `changes` is what differs for us.
        say("resynced (%s): limit %d", item.reason, item.values[LIMIT])
    elif isinstance(item, Undecodable):
        say("a value cannot be decoded: %s", item.error)


def on_state(state: State) -> None:
    """An outage is no change of the configuration: the service goes on with what it has, and logs it."""
    say("the configuration is %s", state.value)


def main(address: str, stop: threading.Event) -> None:
    with ConfigStore(address, root="/config/demo", wait=False) as store:
        store.on_state(on_state)
        store.on_change(Section("billing"), on_item)
        limit = store.live(
            LIMIT
        )  # read it wherever it is needed: no request is made, and it is always current
        store.wait_synced(30)
        say("ready, serving with limit %d", limit.value)
        stop.wait()
        counters = store.counters
        say("%d reconnects, %d resyncs", counters.reconnects, counters.resyncs)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("runtime_config").setLevel(logging.ERROR)
    try:
        main(sys.argv[1], threading.Event())
    except KeyboardInterrupt:
        pass
