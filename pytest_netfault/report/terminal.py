"""What a terminal shows of the network: one section in a failure, and one line at the end.

Pure functions from data to text, without colours, because the same text goes into JUnit files and logs.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from pytest_netfault.checks.verdict import VerdictName
from pytest_netfault.common.printable import printable, printable_lines
from pytest_netfault.common.wording import counted
from pytest_netfault.events import LinkEvent, describe
from pytest_netfault.report.network_story import LinkStory

__all__ = [
    "EVENTS_SHOWN",
    "ProofStory",
    "Totals",
    "failure_text",
    "rerun_command",
    "summary_line",
]

# What fits on a screen beside the test's own traceback.
EVENTS_SHOWN = 20
# What was done to a link, as opposed to what its two sides did.
_DONE_TO_IT = frozenset({"fault", "hit", "heal", "note", "tls_failed", "trouble"})
_COLUMNS = 100


@dataclass(frozen=True)
class ProofStory:
    """A proof that a test called.

    Attributes:
        summary: how it ended, in one line.
        drawing: of a loss the timeline in plain characters, else empty.
        schedule: of a loss the smallest schedule, as one expression, else empty.
        page: where the picture of it is, or empty.
    """

    summary: str
    drawing: str = ""
    schedule: str = ""
    page: str = ""


@dataclass(frozen=True)
class Totals:
    """What a session did to the network.

    Attributes:
        links: links opened by tests.
        faults: faults that tests applied to them.
        faults_that_met_traffic: those of them that were seen to meet traffic.
        kept: proofs with this verdict, and so on for the other three.
        examples: schedules that the proofs played.
        proof_faults_that_met_traffic: faults of the proofs that met traffic.
    """

    links: int = 0
    faults: int = 0
    faults_that_met_traffic: int = 0
    kept: int = 0
    broken: int = 0
    inconclusive: int = 0
    unfinished: int = 0
    examples: int = 0
    proof_faults_that_met_traffic: int = 0

    @classmethod
    def of_proof(cls, verdict: VerdictName, *, examples: int, faults_that_met_traffic: int) -> Totals:
        """What one proof adds."""
        counts = {"examples": examples, "proof_faults_that_met_traffic": faults_that_met_traffic, verdict: 1}
        return cls(**counts)

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def to_json(self) -> dict[str, int]:
        """Plain numbers, for the way from a worker of pytest-xdist to its controller."""
        return asdict(self)


def summary_line(seed: int, totals: Totals, *, crashed: Sequence[str] = ()) -> str:
    """The line at the end of a session.

    Args:
        seed: the session's seed.
        totals: what was counted.
        crashed: the workers that crashed, of which nothing was counted.

    >>> summary_line(7, Totals(links=3, faults=4, faults_that_met_traffic=1))
    'netfault: seed 7, 3 links, 4 faults, 1 of them met traffic'
    >>> summary_line(7, Totals(links=1), crashed=["gw1"])
    'netfault: seed 7, 1 link, no faults (without gw1, which crashed)'
    >>> summary_line(7, Totals(kept=2, broken=1, examples=112, proof_faults_that_met_traffic=301))
    'netfault: seed 7, proofs: 2 kept, 1 broken, 112 examples, 301 faults met traffic'
    """
    names = ("kept", "broken", "inconclusive", "unfinished")
    verdicts = [f"{number} {name}" for name in names if (number := getattr(totals, name))]
    words = [f"seed {seed}"]
    if totals.links or totals.faults or not verdicts:
        words += [_count(totals.links, "link"), _count(totals.faults, "fault")]
    if totals.faults:
        words.append(f"{totals.faults_that_met_traffic or 'none'} of them met traffic")
    if verdicts:
        met = f"{_count(totals.proof_faults_that_met_traffic, 'fault')} met traffic"
        words += [f"proofs: {', '.join(verdicts)}", _count(totals.examples, "example"), met]
    without = f" (without {', '.join(crashed)}, which crashed)" if crashed else ""
    return f"netfault: {', '.join(words)}{without}"


def rerun_command(nodeid: str, seed: int) -> str:
    """The command that runs one test again with the same random choices.

    >>> rerun_command("test_a.py::test_b[x y]", 7)
    "pytest 'test_a.py::test_b[x y]' --netfault-seed=7"
    """
    return f"pytest {shlex.quote(nodeid)} --netfault-seed={seed}"


def failure_text(
    *,
    seed: int,
    command: str,
    links: Sequence[LinkStory],
    since: float,
    attempt: int = 1,
    crash: str = "",
    folder: str = "",
    proofs: Sequence[ProofStory] = (),
    drawing: str = "",
    page: str = "",
    left: Sequence[str] = (),
) -> str:
    """The section of a failing test.

    Args:
        seed: what every random choice was made from.
        command: what runs the test again.
        links: the links that the test used.
        since: when the test began, ``time.monotonic()`` in seconds.
        attempt: which run of the test this is, from 1.
        crash: the traceback of the proxy, if it crashed.
        folder: where more was written.
        proofs: those that the test called and that did not keep what they promise.
        drawing: the timeline of the links in plain characters.
        page: where the picture of the links is.
        left: the faults that earlier tests have left in force, a sentence each.

    >>> from pytest_netfault import Sever
    >>> story = LinkStory("etcd", "127.0.0.1:4001", "127.0.0.1:2379", 12, 0, (Sever(),),
    ...                   (LinkEvent(5.5, "etcd", "fault", fault=Sever(), fault_id=1),))
    >>> print(failure_text(seed=7, command="pytest t.py --netfault-seed=7", links=[story], since=5.0))
    seed 7, to run it again: pytest t.py --netfault-seed=7
    etcd 127.0.0.1:4001 -> 127.0.0.1:2379, 12 B up, 0 B down, in force: Sever()
      +0.500s etcd fault Sever()
    """
    lines = [f"seed {seed}, to run it again: {printable(command)}"]
    if attempt > 1:
        lines.append(f"attempt {attempt}")
    lines += map(printable, left)
    for proof in proofs:
        lines += _proof_lines(proof)
    for link in links:
        holding = f", in force: {', '.join(map(repr, link.in_force))}" if link.in_force else ""
        lines.append(
            printable(
                f"{link.name} {link.address} -> {link.upstream}, "
                f"{link.bytes_up} B up, {link.bytes_down} B down{holding}"
            )
        )
    events = sorted((event for link in links for event in link.events), key=lambda event: event.time)
    lines += _event_lines(events, since)
    if drawing:
        lines += ["", drawing, ""]
    if page:
        lines.append(f"picture: {printable(page)}")
    if crash:
        lines += ["the proxy crashed:", crash.rstrip()]
    if folder:
        lines.append(f"more in {printable(folder)}")
    return printable_lines("\n".join(lines))


def _event_lines(events: Sequence[LinkEvent], since: float) -> list[str]:
    """The events, or of many those that explain most, each gap between them marked."""
    if len(events) <= EVENTS_SHOWN:
        return [f"  {describe(event, since=since)}" for event in events]
    lines = [f"{EVENTS_SHOWN} of {counted(len(events), 'event')}:"]
    before = -1
    for place in _worth_showing(events):
        if place - before > 1:
            lines.append(f"  ... {counted(place - before - 1, 'event')} left out")
        lines.append(f"  {describe(events[place], since=since)}")
        before = place
    return lines


def _worth_showing(events: Sequence[LinkEvent]) -> list[int]:
    """The places of the events that are shown: what was done to the link, then how it began, and how it ended.

    Faults, what they met and heals explain a failure, and come before the rest; of either kind, what is in the middle
    is left out first.
    """
    done = [place for place, event in enumerate(events) if event.kind in _DONE_TO_IT]
    others = [place for place, event in enumerate(events) if event.kind not in _DONE_TO_IT]
    most = EVENTS_SHOWN - min(len(others), EVENTS_SHOWN // 4)
    chosen = _ends(done, most, first=most // 2)
    room = EVENTS_SHOWN - len(chosen)
    return sorted(chosen + _ends(others, room, first=room // 4))


def _ends(places: list[int], most: int, *, first: int) -> list[int]:
    """At most so many of them, without those in the middle."""
    if len(places) <= most:
        return places
    return places[:first] + places[len(places) - (most - first) :]


def _proof_lines(proof: ProofStory) -> list[str]:
    lines = [printable(proof.summary)]
    if proof.drawing:
        lines += ["", proof.drawing, ""]
    if proof.schedule:
        lines.append("the smallest schedule, for verify.replay(open_store, server, schedule):")
        # Only between words: what is printed can be pasted.
        lines += textwrap.wrap(
            proof.schedule,
            _COLUMNS,
            initial_indent="    ",
            subsequent_indent="        ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    if proof.page:
        lines.append(f"picture: {proof.page}")
    return lines


def _count(number: int, thing: str) -> str:
    return counted(number, thing) if number else f"no {thing}s"
