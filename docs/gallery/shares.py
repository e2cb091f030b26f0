"""A sweep that is bounded by time: in shares, each of them spread over all its places, as far as the time goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_netfault import verify

__all__ = ["SHARES", "sweep_in_shares"]

# Each share learns anew how many bytes there are, so they are few. It is an odd number, or the first share would have
# all of the FINs.
SHARES = 5


def sweep_in_shares(open_store: Any, server: Any, seconds: float, **how: Any) -> verify.Report:
    """One share of the places after the other, until all were played or another would not end in time."""
    began, shares = time.monotonic(), 0
    reports: list[verify.Report] = []
    proved: list[verify.Report] = []
    nothing: verify.ProvedNothing | None = None
    while shares < SHARES and _in_time(began, shares, seconds):
        shares += 1
        try:
            proved.append(verify.sweep(open_store, server, shard=f"{shares}/{SHARES}", **how))
            reports.append(proved[-1])
        except verify.ProvedNothing as none:
            nothing = none
            reports.append(none.report)
        except verify.UpdateLost as lost:
            if lost.report is not None:
                lost.report = _sum([*reports, lost.report])
            raise
    if nothing is not None and not proved:
        raise nothing
    played = replace(_sum(reports), wall_seconds=time.monotonic() - began)
    if shares < SHARES:
        played = replace(played, interrupted=f"{shares} of {SHARES} shares of all places")
    return played


def _in_time(began: float, shares: int, seconds: float) -> bool:
    """Whether another share will end in time; the first is played in any case."""
    spent = time.monotonic() - began
    return not shares or spent + spent / shares <= seconds


def _sum(reports: Sequence[verify.Report]) -> verify.Report:
    """What several sweeps have tried."""
    return replace(
        reports[-1],
        examples=sum(one.examples for one in reports),
        inconclusive=sum(one.inconclusive for one in reports),
        faults_that_met_traffic=sum(one.faults_that_met_traffic for one in reports),
        writes_acknowledged=sum(one.writes_acknowledged for one in reports),
        not_closed=sum(one.not_closed for one in reports),
        client_failures=sum(one.client_failures for one in reports),
        gave_up=sum(one.gave_up for one in reports),
        holes=tuple(cut for one in reports for cut in one.holes),
    )
