"""The proof that no update is lost, as one call.

    from pytest_netfault import verify

    def test_no_update_is_lost(etcd_server):
        verify.no_update_lost(open_store, etcd_server)

``open_store(address)`` opens your client behind the four methods of :class:`pytest_netfault.Store`. The kit opens it
twice: through a link that it breaks, and directly, as the other service that writes meanwhile. What the server's own
log says was committed is the oracle, and what was delivered to the subscriber behind the link is compared with it.

This module checks arguments and raises what was found; the rest is in :mod:`pytest_netfault.proof`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from pytest_netfault.checks.trace import Promise
from pytest_netfault.common.wording import counted
from pytest_netfault.faults import CutHow, Direction, Fault
from pytest_netfault.faults.arguments import count
from pytest_netfault.proof.again import play_again
from pytest_netfault.proof.announce import announced
from pytest_netfault.proof.arguments import Settings, check_how, settings_of
from pytest_netfault.proof.contract import Server
from pytest_netfault.proof.dealing import Dealt, deal
from pytest_netfault.proof.given import input_of
from pytest_netfault.proof.ledger import Ledger
from pytest_netfault.proof.parts import find_parts, merge_parts, read_part, recorded
from pytest_netfault.proof.plans import Examples, Proof, Replay, Search, Sweep
from pytest_netfault.proof.playing import play_proof
from pytest_netfault.proof.property_tests import as_bad_draw
from pytest_netfault.proof.remembered import Remembered
from pytest_netfault.proof.results import (
    Kept,
    Progress,
    ProgressCallback,
    ProvedNothing,
    Report,
    Result,
    UpdateLost,
)
from pytest_netfault.proof.sweep import SCENARIO, Wanted
from pytest_netfault.schedules.dead_flows import NOTICE_SECONDS
from pytest_netfault.schedules.generate import ALL, FaultMix
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import Break
from pytest_netfault.store import OpenStore

__all__ = [
    "ALL",
    "SCENARIO",
    "ClientFailure",
    "Progress",
    "ProgressCallback",
    "ProvedNothing",
    "Report",
    "StoreLeftTasks",
    "StoreNotClosed",
    "UpdateLost",
    "WorkerDied",
    "merge",
    "no_update_lost",
    "replay",
    "sweep",
]


class ClientFailure(UserWarning):
    """The program of a `ProcessStore` crashed, or broke the protocol; those examples prove nothing."""


class StoreLeftTasks(UserWarning):
    """An asyncio client left tasks running after its ``close()``; they were cancelled before the next schedule."""


class WorkerDied(UserWarning):
    """A worker of an executor died in the middle of a share; the share was played again."""


class StoreNotClosed(UserWarning):
    """A client's ``close()`` did not return within ``settle`` seconds; its threads may live on."""


def no_update_lost(
    open_store: OpenStore,
    server: Server,
    *,
    promise: Promise = "every-event",
    faults: Iterable[type[Fault] | Fault] = ALL,
    max_examples: int = 100,
    max_seconds: float | None = None,
    seed: int | None = None,
    settle: float = 5.0,
    notice: float | None = NOTICE_SECONDS,
    lanes: int | None = None,
    executor: Executor | None = None,
    shard: str | None = None,
    search: Search = "seeded",
    report_dir: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Draw schedules of writes and outages, play them against a client, and judge what was delivered to its subscriber.

    Args:
        open_store: opens the client under test at an address; an attribute ``rejected`` of it may name exceptions
            that mean "certainly not applied". It, and the methods of the client, may be coroutine functions: they
            are awaited on one asyncio loop of the kit.
        server: the store itself: ``address``, ``revision()``, ``log(after_revision)``, and optionally ``compact()``,
            ``restart()``, ``pause()`` and ``resume()``, which schedules use where they exist. A store that keeps no log
            has ``address`` alone, and ``read(prefix)`` if its state can be looked at.
        promise: what the client promises, and is judged by: ``"every-event"``; ``"latest-value"`` if it may skip
            values; ``"latest-per-key"`` if there is also no order between keys; ``"comes-back"`` if what is written
            after a recovery arrives.
        faults: what is drawn, classes or instances; by default every fault but ``Corrupt``, which no plaintext
            client survives. Faults that this machine cannot do are left out of the default.
        max_examples: how many schedules are played.
        max_seconds: bounds all of it together: opening the client, playing, shrinking and reporting. An example that it
            cuts short counts for nothing; ``report.interrupted`` says so. None for no bound.
        seed: draws the same schedules again; by default that of the test session.
        settle: seconds without any progress after which what is still missing counts as lost. It must exceed the time
            in which the client comes back once the network does.
        notice: seconds in which the client must find out by itself that a flow died without a word (``Forget()``, or
            a ``Cut(..., connection=2, how="blackhole")``: new connections work, the old one is mute for good).
            Schedules of that kind, one for twenty examples and at least three, are played beside the examples, on
            threads of their own, and the report counts them as ``dead_flows``. If ``faults`` is given they are drawn
            only if it names one of these faults, and if it names no other they are the examples. None leaves them out;
            faults of that kind which are named are then drawn like the others, and ``settle`` holds for them.
        lanes: how many schedules are played side by side, each with a link and clients of its own; by default as many
            as suit this machine. Fewer play while the machine falls behind. What is played, and what is found first, is
            the same for every number. Each lane has a server of its own from ``server.another()``, if there is that
            method, which starts one more and returns it, and which is closed in the end; else all use the one, and
            schedules that touch it (compact, restart, pause) are played last, one at a time.
        executor: any :class:`concurrent.futures.Executor` (a process pool, loky, ``Client.get_executor()`` of
            ``dask.distributed``, mpi4py): small shares of the schedules are played in its workers. Then ``server`` is
            a function that gives a context manager of a server, and each share has one of its own; it and
            ``open_store`` must be such as can be sent to a worker. A share whose worker died is played again, and a
            :class:`WorkerDied` warning says so. ``lanes`` is then for each worker, and 2 by default. Whoever made the
            executor shuts it down.
        shard: ``"2/8"`` plays the second of eight parts of the schedules, for several machines or workers: all eight
            with the same seed play each schedule once. ``"auto"`` takes the part of this job of a CI system (GitLab,
            Buildkite, CircleCI, Bazel), and the whole elsewhere. See :func:`merge`.
        search: ``"seeded"``: the seed alone decides what is played. ``"guided"``: so do the plays themselves: schedules
            that have shown something new are varied. On most seeds it finds more of what needs a long history. The
            number of lanes changes nothing; but what a play shows may depend on the machine, so the same seed may play
            other schedules another time. Each part, and each share of an executor, is a search of its own.
        report_dir: where the trace and the schedule of a loss are written, and the result of a shard.
        progress: called after each play.

    Where Hypothesis is installed and its settings have a database, the smallest schedule of a loss is saved there, and
    what was saved of this client, kind of server and promise is played before the examples, whatever the seed.

    Returns:
        What was tried, if nothing was lost.

    Raises:
        UpdateLost: a guarantee was broken; the message says how, and how to play it again.
        ProvedNothing: no write was acknowledged, no fault met traffic, no update arrived under a fault or after it,
            or most examples were inconclusive.
        TimeoutError: ``open_store`` or the server did not return from a call, within ``max_seconds`` or a minute; the
            message names the call.
        TypeError, ValueError: an argument is wrong; nothing was opened.

    Resource handling: what was opened is closed in reverse order, also after Ctrl-C. A client whose ``close()``
    does not return within ``settle`` seconds is abandoned, and a :class:`StoreNotClosed` warning says so.
    """
    __tracebackhide__ = True
    settings = settings_of(
        open_store,
        server,
        promise=promise,
        settle=settle,
        notice=notice,
        seed=seed,
        max_seconds=max_seconds,
        lanes=lanes,
        executor=executor,
        shard=shard,
        report_dir=report_dir,
        progress=progress,
    )
    mix = FaultMix(faults)  # type: ignore[arg-type]
    count("max_examples", max_examples, least=1)
    if search not in get_args(Search):
        raise ValueError(f"search must be {' or '.join(map(repr, get_args(Search)))}, not {search!r}")
    remembered = Remembered(open_store, server, promise)
    try:
        lost_again, played_again = play_again(remembered, mix, open_store, server, settings, executor)
        if lost_again is not None:
            return _returned(announced(Examples.call, settings.seed, lambda: lost_again))
        report = _proved(Examples(mix, max_examples, search), open_store, server, settings, executor)
    except UpdateLost as lost:
        if trouble := remembered.save(lost.schedule):
            lost.args = (f"{lost}\n{trouble}", *lost.args[1:])
        raise
    return replace(report, played_again=played_again)


def replay(
    open_store: OpenStore,
    server: Server,
    schedule: Schedule,
    *,
    promise: Promise = "every-event",
    seed: int | None = None,
    settle: float = 5.0,
    notice: float | None = NOTICE_SECONDS,
    report_dir: str | os.PathLike[str] | None = None,
) -> Report:
    """Play one schedule and judge it; arguments, result and errors are those of :func:`no_update_lost`."""
    __tracebackhide__ = True
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a Schedule, not {schedule!r:.200}")
    drawn = input_of(schedule)
    smaller = None if drawn is None else drawn.asked
    settings = settings_of(
        open_store,
        server,
        promise=promise,
        settle=settle,
        notice=notice,
        seed=seed,
        report_dir=report_dir,
        lanes=1 if smaller is None else None,
    )
    about = (open_store, server, settings.promise, settings.timeouts, seed)
    known = None if drawn is None else drawn.known(about)
    if known is not None:
        return _returned(known)
    try:
        return _proved(Replay(schedule, smaller), open_store, server, settings)
    except ProvedNothing as nothing:
        raise as_bad_draw(nothing) from None
    except UpdateLost as lost:
        if drawn is not None:
            drawn.learn(about, lost)
        raise


def sweep(
    open_store: OpenStore,
    server: Server,
    scenario: Schedule | None = None,
    *,
    places: Literal["bytes", "frames"] = "bytes",
    direction: Direction = "both",
    stride: int = 1,
    how: Sequence[CutHow] = ("fin", "rst", "blackhole"),
    promise: Promise = "every-event",
    settle: float = 5.0,
    notice: float | None = NOTICE_SECONDS,
    lanes: int | None = None,
    executor: Executor | None = None,
    shard: str | None = None,
    seed: int | None = None,
    report_dir: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Play a small scenario once for every byte position of the client's connections, cut exactly there.

    A few runs without a cut learn how many bytes each connection carries each way; a place is a position, a direction,
    a connection and a way to end. Many places are played side by side. A place that is not reached,
    because the connection carried fewer bytes that time, is tried twice more.

    With ``places="frames"`` three places stand for all bytes of a frame of the protocol that is spoken: before its
    first byte, inside it, and before its last byte. A connection that speaks no protocol that is known, or encrypts, is
    cut at every byte.

    Args:
        open_store: as for :func:`no_update_lost`.
        server: as for :func:`no_update_lost`.
        scenario: what is played; by default a write before the subscription, some that are seen, one through the link,
            a delete, and one at the end. If it has a ``Break`` of its own, the recovery from the first one is swept:
            the connections that come after it, numbered from there.
        places: ``"bytes"``, or ``"frames"``, which are far fewer.
        direction: whose positions are tried.
        stride: only every so many-th position, or frame, is tried.
        how: the ways in which a connection ends there.
        promise: as for :func:`no_update_lost`.
        settle: as for :func:`no_update_lost`.
        notice: as for :func:`no_update_lost`. A silent cut is healed in the end; at one in twenty of these places, and
            at least three, the connection is also cut for good, and once all are forgotten while they are idle, beside
            the others. They are no places of the report.
            A scenario that compacts, restarts or pauses a server without ``another()`` has none.
        lanes: as for :func:`no_update_lost`; places take the place of schedules.
        executor: as for :func:`no_update_lost`; each share learns for itself how many bytes there are.
        shard: ``"2/8"`` plays the second of eight parts of the places, for several machines or workers; all eight
            together play each place once. See :func:`merge`.
        seed: as for :func:`no_update_lost`.
        report_dir: as for :func:`no_update_lost`.
        progress: called after each place, with the remaining time.

    Returns:
        What was tried: ``examples`` is the places, ``inconclusive`` those where the cut never fired, ``holes`` which
        they are.

    Raises:
        UpdateLost: an update was lost at one of the places; the schedule names it.
        ProvedNothing: no cut fired, or no update arrived after one.
        TypeError, ValueError: an argument is wrong; nothing was opened.
    """
    __tracebackhide__ = True
    settings = settings_of(
        open_store,
        server,
        promise=promise,
        settle=settle,
        notice=notice,
        seed=seed,
        lanes=lanes,
        executor=executor,
        shard=shard,
        report_dir=report_dir,
        progress=progress,
    )
    count("stride", stride, least=1)
    if direction not in ("up", "down", "both"):
        raise ValueError(f"direction must be 'up', 'down' or 'both', not {direction!r}")
    hows = check_how(how)
    played = SCENARIO if scenario is None else scenario
    if not isinstance(played, Schedule):
        raise TypeError(f"scenario must be a Schedule, not {played!r:.200}")
    if places not in ("bytes", "frames"):
        raise ValueError(f"places must be 'bytes' or 'frames', not {places!r}")
    waiting = [step for step in played if isinstance(step, Break) and step.in_recovery]
    if waiting:
        raise ValueError(
            f"scenario must have no Break(..., in_recovery=True): the sweep adds its own. It is {played}"
        )
    proof = Sweep(played, Wanted(direction, stride, tuple(hows), frames=places == "frames"))
    return _proved(proof, open_store, server, settings, executor)


def merge(*places: str | os.PathLike[str]) -> Report:
    """What the parts of a proof come to together, or those of several proofs.

    A proof that is given ``shard=`` and ``report_dir=`` writes the result of its part into that folder.

    Args:
        places: the files of the parts, or folders that hold them.

    Returns:
        What was tried in all of them, if nothing was lost; ``wall_seconds`` adds up.

    Raises:
        UpdateLost: one of them lost an update; it is the same as there, with the report of all.
        ProvedNothing: nothing was lost, and all of them together prove nothing.
        ValueError: a part is missing or there twice, or a file is none.
    """
    __tracebackhide__ = True
    return _returned(merge_parts((str(path), read_part(path)) for path in find_parts(map(Path, places))))


def _proved(
    proof: Proof,
    open_store: OpenStore,
    server: Any,
    settings: Settings,
    executor: Executor | None = None,
) -> Report:
    """Play a proof here or in the workers of an executor, inform the session, and return or raise the result."""
    __tracebackhide__ = True
    if executor is not None:
        ended: list[Dealt] = []

        def dealt() -> Result:
            ended.append(deal(executor, proof, open_store, server, settings))
            return recorded(ended[0].result, proof.call, settings, ended[0].tally, ended[0].seconds)

        report = _returned(announced(proof.call, settings.seed, dealt))
        if ended[0].died:
            warnings.warn(
                f"a worker died {counted(ended[0].died, 'time')}; its share was played again",
                WorkerDied,
                stacklevel=3,
            )
        return _warned(report, ended[0].left_behind, settings.settle)

    def within(prove: Callable[[], Result], ledger: Ledger) -> Report:
        __tracebackhide__ = True

        def recorded_part() -> Result:
            __tracebackhide__ = True
            return recorded(prove(), proof.call, settings, ledger.tally, ledger.seconds)

        return _returned(announced(proof.call, settings.seed, recorded_part, lambda: ledger.tally))

    report, left_behind = play_proof(proof, open_store, server, settings, within)
    return _warned(report, left_behind, settings.settle)


def _returned(result: Result) -> Report:
    """The report of what was kept; anything else is raised, here and nowhere else."""
    __tracebackhide__ = True
    if isinstance(result, Kept):
        return result.report
    raise result.error()


def _warned(report: Report, left_behind: Mapping[str, int], settle: float) -> Report:
    if left_behind:
        tasks = ", ".join(f"{name} ({often} times)" for name, often in left_behind.items())
        warnings.warn(
            f"the client left tasks running when it had been closed, which were cancelled: {tasks}",
            StoreLeftTasks,
            stacklevel=4,
        )
    if report.client_failure is not None:
        failed = f"in {report.client_failures} of {counted(report.examples, 'example')}"
        warnings.warn(
            f"the client itself failed {failed}, which prove nothing: {report.client_failure}",
            ClientFailure,
            stacklevel=4,
        )
    if report.not_closed:
        warnings.warn(
            f"close() of the client did not return within {settle:g} s in {report.not_closed} of "
            f"{counted(report.examples, 'example')}",
            StoreNotClosed,
            stacklevel=4,
        )
    return report
