"""A proof in the workers of an executor: dealt in small shares, so that a slow worker does not hold all.

::

    share 1/16 --> submit --> worker: a server of its own, play the part, close all --> the part as JSON text
    share 2/16 --> ...                                                               |
                                                 one that lost, or all of them --> Result

* A share is a part as ``shard=`` makes it, and its result travels as the text of a part's file: whatever carries a
  function call with its arguments, to another process or machine, will do.
* A share whose worker died is dealt again, and if the executor takes nothing any more it is played here. None is lost
  and none counts twice, because a share counts when its result has come, as a whole.
* At the first loss no further share is begun. Shares under way are abandoned: nobody waits for them.
"""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from pytest_netfault.common.wording import counted
from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.contract import Server
from pytest_netfault.proof.ledger import Ledger
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline
from pytest_netfault.proof.parts import Part, judged, part_of
from pytest_netfault.proof.plans import Again, Examples, Proof
from pytest_netfault.proof.playing import play_proof
from pytest_netfault.proof.results import Progress, Result
from pytest_netfault.proof.shards import Shard
from pytest_netfault.proof.tally import Tally
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.store import OpenStore

__all__ = ["Dealt", "OpenServer", "deal"]

# How the workers get a server: each share opens one and closes it.
OpenServer = Callable[[], AbstractContextManager[Server]]

# A share takes some seconds then, and the start of its server is a small part of that.
_EXAMPLES_IN_A_SHARE = 8
# A guided search begins anew in each share, and must get somewhere.
_EXAMPLES_IN_A_GUIDED_SHARE = 128
_SHARES_OF_A_SWEEP = 16
_MOST_SHARES = 64
# How often a share is dealt whose worker dies each time.
_DEALT_AT_MOST = 3
# What the executors of others raise for a worker that died, where it is no BrokenExecutor.
_WORKER_DIED = ("KilledWorker", "CommClosedError", "TerminatedWorkerError")
_TICK_SECONDS = 0.5
# A share that ends in time has its clients and its server to close, and its result to send.
_LATE_SECONDS = 5.0


@dataclass(frozen=True)
class Dealt:
    """What all shares came to.

    Attributes:
        result: of all together.
        tally: what was counted in all of them.
        seconds: how long all took.
        left_behind: tasks that asyncio clients left running, by their names, with how often.
        died: how often a worker died.
    """

    result: Result
    tally: Tally
    seconds: float
    left_behind: dict[str, int]
    died: int


@dataclass(frozen=True)
class _Share:
    """What is sent to a worker."""

    proof: Proof
    open_store: OpenStore
    open_server: OpenServer
    settings: Settings
    ends: float | None  # time.time(), which other machines have too

    def play(self) -> str:
        """Play it; the part and what the caller is to hear besides, as JSON text."""
        deadline = NO_DEADLINE
        if self.ends is not None:
            deadline = Deadline(time.monotonic() + max(self.ends - time.time(), 0.0))
        last: list[Progress] = []

        def follow(progress: Progress) -> None:
            last[:] = [progress]

        settings = replace(self.settings, deadline=deadline, progress=follow)

        def within(prove: Callable[[], Result], ledger: Ledger) -> Part:
            return part_of(prove(), self.proof.call, settings, ledger.tally, ledger.seconds)

        with self.open_server() as server:
            part, left_behind = play_proof(self.proof, self.open_store, server, settings, within)
        schedule = last[0].schedule.to_json() if last else None
        return json.dumps({"part": part.to_json(), "left_behind": left_behind, "schedule": schedule})


def _play(share: _Share) -> str:
    return share.play()


def shares_of(proof: Proof, part: Shard) -> list[Shard]:
    """The shares in which a part of a proof is dealt; together they hold what the part holds.

    >>> from pytest_netfault.schedules.generate import ALL, FaultMix
    >>> [str(one) for one in shares_of(Examples(FaultMix(ALL), 20), Shard(2, 2))]
    ['2/4', '4/4']
    """
    if isinstance(proof, Examples):
        mine = sum(part.holds(number) for number in range(proof.count))
        each = _EXAMPLES_IN_A_GUIDED_SHARE if proof.search == "guided" else _EXAMPLES_IN_A_SHARE
        many = min(max(1, -(-mine // each)), _MOST_SHARES)
    else:
        many = 1 if isinstance(proof, Again) else _SHARES_OF_A_SWEEP
    return [Shard(part.number + part.of * number, part.of * many) for number in range(many)]


def deal(
    executor: Executor, proof: Proof, open_store: OpenStore, open_server: OpenServer, settings: Settings
) -> Dealt:
    """Play a proof in the workers of an executor.

    Raises:
        TypeError: what is to be sent cannot be.
        Exception: whatever a share raised.
    """
    dealer = _Dealer(executor, proof, open_store, open_server, settings)
    try:
        return dealer.deal()
    finally:
        dealer.abandon()


class _Dealer:
    def __init__(
        self,
        executor: Executor,
        proof: Proof,
        open_store: OpenStore,
        open_server: OpenServer,
        settings: Settings,
    ) -> None:
        self._executor = executor
        self._settings = settings
        self._shares = shares_of(proof, settings.part)
        left = settings.deadline.left
        self._common = _Share(
            proof,
            open_store,
            open_server,
            replace(settings, deadline=NO_DEADLINE, progress=None, shard_dir=None),
            None if left == float("inf") else time.time() + left,
        )
        self._began = time.monotonic()
        self._under_way: dict[Future[str], tuple[Shard, int]] = {}
        self._here: list[Shard] = []
        self._parts: dict[Shard, Part] = {}
        self._left_behind: dict[str, int] = {}
        self._died = 0

    def deal(self) -> Dealt:
        for shard in self._shares:
            self._submit(shard, 1)
        while self._under_way and not self._lost() and not self._settings.deadline.over:
            done, _ = wait(self._under_way, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future, *self._under_way.pop(future))
        self._take_what_ends_now()
        while self._here and not self._lost() and not self._settings.deadline.over:
            shard = self._here.pop(0)
            self._count(shard, self._share(shard).play())
        return self._dealt()

    def _take_what_ends_now(self) -> None:
        """When the time is up, so it is for the shares under way: what they had played by then counts."""
        if self._lost() or not self._settings.deadline.over:
            return
        for future in [one for one in self._under_way if one.cancel()]:
            del self._under_way[future]
        until = time.monotonic() + self._settings.settle + _LATE_SECONDS
        while self._under_way and not self._lost() and (left := until - time.monotonic()) > 0:
            done, _ = wait(self._under_way, timeout=left, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future, *self._under_way.pop(future))

    def abandon(self) -> None:
        """Begin no further share."""
        for future in self._under_way:
            future.cancel()

    def _lost(self) -> bool:
        return any(part.lost is not None for part in self._parts.values())

    def _share(self, shard: Shard) -> _Share:
        return replace(self._common, settings=replace(self._common.settings, shard=shard))

    def _submit(self, shard: Shard, times: int) -> None:
        try:
            future = self._executor.submit(_play, self._share(shard))
        except (BrokenExecutor, RuntimeError):  # it takes nothing any more
            self._here.append(shard)
        else:
            self._under_way[future] = (shard, times)

    def _take(self, future: Future[str], shard: Shard, times: int) -> None:
        try:
            text = future.result()
        except Exception as error:
            if _cannot_be_sent(error):
                raise TypeError(
                    f"open_store and server must be such as can be sent to the workers of {self._executor!r:.80}: "
                    f"functions and classes at the top level of a module that they can import, or functools.partial "
                    f"of such; {type(error).__name__}: {error}"
                ) from None
            if (
                not isinstance(error, (BrokenExecutor, CancelledError))
                and type(error).__name__ not in _WORKER_DIED
            ):
                raise
            self._died += 1
            if times < _DEALT_AT_MOST:
                self._submit(shard, times + 1)
            else:
                raise
        else:
            self._count(shard, text)

    def _count(self, shard: Shard, text: str) -> None:
        said = json.loads(text)
        part = self._parts[shard] = Part.from_json(said["part"])
        for name, often in said["left_behind"].items():
            self._left_behind[name] = self._left_behind.get(name, 0) + often
        if self._settings.progress is not None and said["schedule"] is not None:
            schedule = Schedule.from_json(said["schedule"])
            done, of = len(self._parts), len(self._shares)
            seconds = time.monotonic() - self._began
            self._settings.progress(
                Progress(
                    "dealing",
                    done,
                    of,
                    seconds,
                    schedule,
                    part.lost is not None,
                    None if part.lost is None else part.lost.schedule,
                    remaining=seconds / done * (of - done),
                )
            )

    def _dealt(self) -> Dealt:
        seconds = time.monotonic() - self._began
        missing = len(self._shares) - len(self._parts)
        parts = [part for _, part in sorted(self._parts.items(), key=lambda one: one[0].number)]
        interrupted = None
        if missing and not self._lost():
            interrupted = (
                f"{counted(missing, 'share')} of {len(self._shares)} had not ended within max_seconds"
            )
        return Dealt(
            judged(parts, seconds=seconds, interrupted=interrupted),
            sum((part.tally for part in parts), start=Tally()),
            seconds,
            self._left_behind,
            self._died,
        )


def _cannot_be_sent(error: Exception) -> bool:
    if isinstance(error, pickle.PicklingError):
        return True
    if isinstance(error, AttributeError) and "Can't get local object" in str(error):
        return True  # Python 3.13
    return isinstance(error, (AttributeError, TypeError)) and "pickle" in str(error).lower()
