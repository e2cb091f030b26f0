"""What was delivered, as values that can be judged, written and shown, whatever types the client used.

A client may deliver a revision of thousands of digits, which Python refuses to print, or subclasses of ``str`` and
``int``. That must not keep a report from saying what else was lost.

Nothing that a verdict depends on changes: texts stay equal, and numbers keep their order and remain distinct.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pytest_netfault.store import Delivery, Event, Resync

__all__ = ["plain", "printed_revisions", "with_revisions"]

# Python can be configured to print no more than 640 digits, and prints 4,300 by default. No store counts so far: no log
# has such a revision, and one is a phantom whatever stands for it.
HUGE = 10**600


def plain(delivery: Delivery) -> Delivery:
    """The delivery, made of plain ``str`` and ``int``.

    Raises:
        TypeError: something in it is neither; how it was made did not see to that.
    """
    if _is_plain(delivery):
        return delivery
    resync = delivery.resync
    return Delivery(
        events=None if delivery.events is None else tuple(map(_plain_event, delivery.events)),
        bookmark=_plain_number(delivery.bookmark),
        resync=None
        if resync is None
        else Resync(
            _plain_number(resync.revision),
            {_plain_text(key): _plain_text(value) for key, value in resync.kvs.items()},
        ),
        error=_plain_text(delivery.error),
    )


def _is_plain(delivery: Delivery) -> bool:
    """Whether nothing needs a second look; it is asked of each of perhaps 100,000 deliveries."""
    if type(delivery) is not Delivery or type(delivery.events) is not tuple:
        return False
    return all(
        type(one) is Event
        and type(one.key) is str
        and (one.value is None or type(one.value) is str)
        and (one.revision is None or type(one.revision) is int)
        for one in delivery.events
    )


def _plain_event(event: Event) -> Event:
    return Event(_plain_text(event.key), _plain_text(event.value), _plain_number(event.revision))


def _plain_text(text: Any) -> Any:
    return str.__str__(text) if isinstance(text, str) else text


def _plain_number(number: Any) -> Any:
    return int.__int__(number) if isinstance(number, int) and not isinstance(number, bool) else number


def printed_revisions(delivered: Sequence[Delivery]) -> dict[int, int]:
    """For each revision that is too long to be printed, one that is not; empty for every sane client.

    They stay apart from each other and from all others, in the same order.

    >>> huge = Delivery(bookmark=10**5_000), Delivery(bookmark=10**4_000), Delivery(bookmark=7)
    >>> [printed_revisions(huge)[one.bookmark] - HUGE for one in huge[:2]]
    [2, 1]
    """
    huge = sorted({one for delivery in delivered for one in _revisions(delivery) if not -HUGE <= one <= HUGE})
    low = [one for one in huge if one < 0]
    high = [one for one in huge if one > 0]
    return {
        **{one: -HUGE - place for place, one in enumerate(reversed(low), start=1)},
        **{one: HUGE + place for place, one in enumerate(high, start=1)},
    }


def _revisions(delivery: Delivery) -> Iterable[int]:
    if delivery.bookmark is not None:
        yield delivery.bookmark
    if delivery.resync is not None and delivery.resync.revision is not None:
        yield delivery.resync.revision
    for event in delivery.events or ():
        if event.revision is not None:
            yield event.revision


def with_revisions(delivery: Delivery, revisions: dict[int, int]) -> Delivery:
    """The delivery with these revisions in the place of those; the same object if it has none of them."""
    if not any(one in revisions for one in _revisions(delivery)):
        return delivery
    if delivery.resync is not None:
        revision = delivery.resync.revision
        return Delivery(resync=Resync(_other(revision, revisions), delivery.resync.kvs))
    if delivery.events is not None:
        return Delivery(
            events=tuple(
                Event(one.key, one.value, _other(one.revision, revisions)) for one in delivery.events
            )
        )
    return Delivery(bookmark=_other(delivery.bookmark, revisions))


def _other(revision: int | None, revisions: dict[int, int]) -> int | None:
    return None if revision is None else revisions.get(revision, revision)
