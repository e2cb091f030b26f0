"""How a proof tells the session around it what it came to.

Rules of this file: a proof runs and ends as it would alone; only an example that proves nothing, in a session that is
strict, turns what was kept into :class:`.ProvedNothing`.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_netfault.common.wording import counted, were
from pytest_netfault.proof import host
from pytest_netfault.proof.host import Verdict
from pytest_netfault.proof.property_tests import in_property_test
from pytest_netfault.proof.results import ProvedNothing, Report, UpdateLost
from pytest_netfault.proof.tally import Tally
from pytest_netfault.report.timeline_text import drawn

__all__ = ["announced"]


def announced(
    call: str, seed: int, prove: Callable[[], Report], so_far: Callable[[], Tally] = Tally
) -> Report:
    """Run a proof, and tell the current session how it ended.

    Args:
        call: which one it is.
        seed: what it draws from.
        prove: runs it.
        so_far: what was counted, asked for if something else than a verdict ends it.

    Raises:
        UpdateLost: as the proof does.
        ProvedNothing: as the proof does; or the session is strict and an example was inconclusive.
    """
    __tracebackhide__ = True
    session = host.current()
    if session is None:
        return prove()
    generated = in_property_test()
    try:
        report = prove()
        if session.strict and report.inconclusive:
            raise ProvedNothing(
                f"{report.inconclusive} of {counted(report.examples, 'example')} {were(report.inconclusive)} "
                f"inconclusive, which --netfault-strict does not let pass ({report})",
                report=report,
            )
    except UpdateLost as lost:
        played = lost.report
        session.judged(
            Verdict(
                call=call,
                outcome="lost",
                examples=0 if played is None else played.examples,
                inconclusive=0 if played is None else played.inconclusive,
                seed=seed,
                generated=generated,
                told=f"lost: {', '.join(lost.broken)}" if lost.timeline is None else lost.timeline.headline,
                schedule=str(lost.schedule),
                broken=lost.broken,
                files=lost.files,
                faults=0 if played is None else played.faults,
                hits=0 if played is None else played.cuts_that_hit_traffic,
                drawing="" if lost.timeline is None else drawn(lost.timeline),
            )
        )
        raise
    except ProvedNothing as nothing:
        session.judged(
            Verdict(
                call=call,
                outcome="proved nothing",
                examples=nothing.report.examples,
                inconclusive=nothing.report.inconclusive,
                seed=seed,
                generated=generated,
                told=str(nothing),
                faults=nothing.report.faults,
                hits=nothing.report.cuts_that_hit_traffic,
            )
        )
        raise
    except BaseException as error:
        tally = so_far()
        ended = (
            "interrupted (Ctrl-C)"
            if isinstance(error, KeyboardInterrupt)
            else f"ended by {type(error).__name__}"
        )
        session.judged(
            Verdict(
                call=call,
                outcome="unfinished",
                examples=tally.examples,
                inconclusive=tally.inconclusive,
                seed=seed,
                generated=generated,
                told=f"{ended} after {counted(tally.examples, 'example')}",
                faults=tally.applied,
                hits=tally.hits,
            )
        )
        raise
    session.judged(
        Verdict(
            call=call,
            outcome="kept",
            examples=report.examples,
            inconclusive=report.inconclusive,
            seed=seed,
            generated=generated,
            told=str(report),
            faults=report.faults,
            hits=report.cuts_that_hit_traffic,
        )
    )
    return report
