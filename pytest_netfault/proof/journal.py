"""The log of a store without one, from writes and deliveries; ``pytest_netfault.checks.inferred_log`` says how."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_netfault.checks.inferred_log import infer_log
from pytest_netfault.checks.trace import Promise, Revision
from pytest_netfault.checks.writes import Held, judge_held
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.proof.trace_builder import stream_of
from pytest_netfault.store import Delivery

__all__ = ["Held", "journal", "judge_held"]


def journal(
    writes: Sequence[WriteRecord],
    handed: Sequence[Delivery],
    held: Held | None = None,
    promise: Promise = "every-event",
) -> tuple[Revision, ...]:
    """The writes that were made, as far as anybody knows; the n-th write that was issued is revision n + 1.

    >>> late, second = (WriteRecord(n, "link", (("k", str(n)),), "info", 0.0, None) for n in (1, 2))
    >>> [entry.revision for entry in journal([late, second], (), {"k": "2"})]
    [3]
    """
    return infer_log(writes, stream_of(handed), held, promise)
