"""What a subscription may be promised, and which guarantees each promise is judged by.

==================  ==============================================================================================
``every-event``     every change arrives once, in order, one transaction together: watches and logs that resume
``latest-value``    changes may be skipped; what arrives never goes back, and the last of each key is right
``latest-per-key``  the same of each key alone: no order between keys, and a state may be delivered again
``comes-back``      what is written after a recovery arrives; what was written during an outage may be missed
==================  ==============================================================================================

The first two are judged by all guarantees, with what is outstanding declared in ``obligations.py``. The other two say
less, and what they do not say is not judged: ``per_key.py`` and ``coming_back.py`` have their rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_netfault.checks.trace import Promise
from pytest_netfault.checks.trace_verdict import GUARANTEES, Guarantee

__all__ = ["DECLARED", "Declaration"]


@dataclass(frozen=True)
class Declaration:
    """What others need to know of a promise.

    Attributes:
        guarantees: those that it is judged by.
        all_arrive: whether every change of the subscription must arrive; if not, one that did not is no loss by itself.
        states: whether a key's last state is what counts, so that older ones may be skipped.
    """

    guarantees: tuple[Guarantee, ...] = GUARANTEES
    all_arrive: bool = True
    states: bool = False


DECLARED: Mapping[Promise, Declaration] = {
    "every-event": Declaration(),
    "latest-value": Declaration(all_arrive=False, states=True),
    "latest-per-key": Declaration(
        ("complete", "ordered", "bookmarkable", "resync", "filter", "phantom", "before_start"),
        all_arrive=False,
        states=True,
    ),
    "comes-back": Declaration(("complete", "resync", "filter", "phantom"), all_arrive=False),
}
