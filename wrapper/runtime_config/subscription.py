"""A subscription: an iterator over everything that happens to some keys.

    with store.subscribe(Section("billing")) as updates:
        for item in updates:
            ...

What is delivered is the business of `_feed.inbox`; here is how a thread waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from runtime_config import errors
from runtime_config._feed.inbox import Ended, Inbox
from runtime_config._numbers import seconds
from runtime_config.values import Item


class Subscription(Inbox):
    """An iterator of items, in strictly ascending revision: one `Snapshot` first, then `Changes`, `Resynced`,
    `Undecodable`.

    Iterate it in one thread; `close` may be called from any. Iteration ends when the subscription or the store is
    closed. It raises `PermissionDenied` or `AuthenticationFailed` when the server refuses to serve it for good. A lost
    connection raises nothing: what was missed arrives later, and `store.state` shows the outage.

    Ctrl-C interrupts a wait for an item, and no item is lost by it. Leaving the `with` block closes the subscription; a
    subscription that is garbage-collected is closed as well. As long as it is referred to, its store stays open. In a
    forked process it raises Closed.
    """

    def _notify(self) -> None:
        self.lock.notify_all()

    def get(self, timeout: float | None = None) -> Item:
        """The next item, waiting at most `timeout` seconds (None: without limit; 0: only what is there already).

        Raises DeadlineExceeded when none came, Closed when no more will come, and what iterating raises.
        """
        if timeout is not None:
            timeout = seconds("timeout", timeout, least=0.0)
        try:
            return self._next(timeout)
        except Ended:
            raise errors.Closed("the subscription is closed") from None

    def _next(self, timeout: float | None) -> Item:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (item := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise errors.DeadlineExceeded("no item came in time")
            with self.lock:
                self.lock.wait_for(lambda: self._stirred, left)
        return item

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        try:
            return self._next(None)
        except Ended:
            raise StopIteration from None

    def close(self) -> None:
        """End the iteration, at once and from any thread. Idempotent."""
        self.shut()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def deliver_in_thread(
    subscription: Subscription,
    callback: Callable[[Item], None],
    on_error: Callable[[BaseException], None],
    on_end: Callable[[BaseException], None],
) -> threading.Thread:
    """Call `callback` with each item, in a thread of its own, until the subscription is closed.

    Whatever the callback raises is passed to `on_error`, and the next item is delivered all the same: SystemExit or a
    test's failure mean nothing to this thread. `on_end` gets whatever else ends the delivery, such as a server that
    refuses to serve this subscription.
    """

    def run() -> None:
        try:
            for item in subscription:
                try:
                    callback(item)
                except BaseException as error:  # noqa: PERF203 - one callback's error must not end the loop
                    on_error(error)
        except BaseException as error:
            on_end(error)

    thread = threading.Thread(target=run, name="runtime-config-callback", daemon=True)
    thread.start()
    return thread
