"""How a client says that a write was certainly not applied; what outcomes come to is judged in ``checks.writes``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_netfault.checks.writes import WriteBreakage, WriteGuarantee, judge_writes
from pytest_netfault.store import OpenStore, WriteRejected

__all__ = ["WriteBreakage", "WriteGuarantee", "judge_writes", "rejections"]


def rejections(open_store: OpenStore) -> tuple[type[BaseException], ...]:
    """The exceptions by which a client says that a write was certainly not applied."""
    named: Any = getattr(open_store, "rejected", ())
    return (WriteRejected, *(named if isinstance(named, Iterable) else (named,)))
