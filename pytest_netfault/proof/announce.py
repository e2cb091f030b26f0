"""How a proof reports its result to the session around it.

A proof runs and ends as it would alone; only in a strict session an example that proves nothing turns `Kept` into
`Nothing`.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_netfault.common.wording import counted, were
from pytest_netfault.proof import host
from pytest_netfault.proof.host import ProofVerdict
from pytest_netfault.proof.property_tests import in_property_test
from pytest_netfault.proof.results import Kept, Lost, Nothing, Result
from pytest_netfault.proof.tally import Tally
from pytest_netfault.report.terminal import ProofStory
from pytest_netfault.report.timeline_text import drawn

__all__ = ["announced", "proof_story"]


def announced(
    call: str, seed: int, prove: Callable[[], Result], so_far: Callable[[], Tally] = Tally
) -> Result:
    """Run a proof, and report to the current session how it ended; the result, as a strict session takes it.

    Args:
        call: which one it is.
        seed: what it draws from.
        prove: runs it.
        so_far: what was counted, asked for if something else than a result ends it.
    """
    __tracebackhide__ = True
    session = host.current()
    if session is None:
        return prove()
    generated = in_property_test()
    try:
        result = prove()
    except BaseException as error:
        session.judged(_unfinished(call, seed, error, so_far(), generated=generated))
        raise
    if session.strict:
        result = _strictly(result, session.flag("strict"))
    session.judged(_verdict(call, seed, result, generated=generated))
    return result


def proof_story(verdict: ProofVerdict) -> ProofStory:
    """How a proof ended, for the text about what went wrong."""
    page = next((str(path) for path in verdict.files if path.suffix == ".html"), "")
    more = f", and {verdict.times - 1:,} more on the way to it" if verdict.times > 1 else ""
    return ProofStory(f"{verdict.call}: {verdict.summary}{more}", verdict.drawing, verdict.schedule, page)


def _strictly(result: Result, flag: str) -> Result:
    report = result.report
    if not isinstance(result, Kept) or report is None or not report.inconclusive:
        return result
    return Nothing(
        f"{report.inconclusive} of {counted(report.examples, 'example')} {were(report.inconclusive)} inconclusive, "
        f"which {flag} does not let pass",
        report,
        strict=True,
    )


def _verdict(call: str, seed: int, result: Result, *, generated: bool) -> ProofVerdict:
    report = result.report
    lost = result if isinstance(result, Lost) else None
    return ProofVerdict(
        call=call,
        verdict=result.verdict,
        examples=0 if report is None else report.examples,
        inconclusive=0 if report is None else report.inconclusive,
        seed=seed,
        generated=generated,
        summary=_in_one_line(result),
        schedule="" if lost is None else str(lost.schedule),
        broken=() if lost is None else lost.broken,
        files=() if lost is None else lost.files,
        faults=0 if report is None else report.faults,
        faults_that_met_traffic=0 if report is None else report.faults_that_met_traffic,
        drawing="" if lost is None or lost.timeline is None else drawn(lost.timeline),
    )


def _in_one_line(result: Result) -> str:
    if isinstance(result, Kept):
        return str(result.report)
    if isinstance(result, Nothing):
        return " ".join(result.message.split("\n"))
    return f"lost: {', '.join(result.broken)}" if result.timeline is None else result.timeline.headline


def _unfinished(call: str, seed: int, error: BaseException, tally: Tally, *, generated: bool) -> ProofVerdict:
    interrupted = isinstance(error, KeyboardInterrupt)
    ended = "interrupted (Ctrl-C)" if interrupted else f"ended by {type(error).__name__}"
    return ProofVerdict(
        call=call,
        verdict="unfinished",
        examples=tally.examples,
        inconclusive=tally.inconclusive,
        seed=seed,
        generated=generated,
        summary=f"{ended} after {counted(tally.examples, 'example')}",
        faults=tally.applied,
        faults_that_met_traffic=tally.faults_that_met_traffic,
    )
