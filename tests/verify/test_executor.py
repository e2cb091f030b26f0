"""Shares of a proof in the workers of executors: none is lost, none counts twice, and a loss is a loss."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.mutants import toy
from support.mutants.subscribers import MUTANTS

from pytest_netfault import ProvedNothing, UpdateLost, verify
from pytest_netfault.faults import Reset, Sever
from pytest_netfault.proof.dealing import shares_of
from pytest_netfault.proof.plans import Examples, Sweep
from pytest_netfault.proof.shards import Shard
from pytest_netfault.proof.sweep import SCENARIO, Wanted
from pytest_netfault.schedules.generate import ALL, FaultMix

FAULTS = [Reset, Sever]


@pytest.fixture(scope="module")
def pool() -> Iterator[concurrent.futures.Executor]:
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=spawned) as executor:
        yield executor


@given(st.integers(1, 3000), st.integers(1, 5), st.data())
def test_the_shares_of_all_parts_hold_each_example_once(examples: int, of: int, data: Any) -> None:
    proof = Examples(FaultMix(ALL), examples)
    shares = [share for number in range(1, of + 1) for share in shares_of(proof, Shard(number, of))]
    example = data.draw(st.integers(0, examples - 1))
    assert sum(share.holds(example) for share in shares) == 1


def test_a_sweep_is_dealt_as_well() -> None:
    shares = shares_of(Sweep(SCENARIO, Wanted("both", 1, ("fin",))), Shard(2, 3))
    assert {place for place in range(480) if any(share.holds(place) for share in shares)} == set(
        range(1, 480, 3)
    )


@pytest.mark.slow
def test_all_of_it_is_played_once(pool: concurrent.futures.Executor) -> None:
    followed: list[verify.Progress] = []
    report = verify.no_update_lost(
        toy.RightStore,
        toy.ToyServer,
        executor=pool,
        seed=3,
        max_examples=40,
        notice=None,
        faults=FAULTS,
        progress=followed.append,
    )
    assert (report.examples, report.seed, report.interrupted) == (40, 3, None)
    assert [(one.stage, one.done, one.of) for one in followed] == [("dealing", n, 5) for n in range(1, 6)]
    with toy.ToyServer() as server:
        alone = verify.no_update_lost(
            toy.RightStore, server, seed=3, max_examples=40, notice=None, faults=FAULTS, lanes=1
        )
    assert alone.examples == 40
    assert alone.faults == report.faults


@pytest.mark.slow
def test_a_loss_is_raised_with_all_that_it_has(pool: concurrent.futures.Executor, tmp_path: Path) -> None:
    kind = MUTANTS["ResumesFromNow"]
    with pytest.raises(UpdateLost) as caught:
        verify.no_update_lost(
            kind,
            toy.ToyServer,
            executor=pool,
            seed=1,
            settle=1.0,
            notice=None,
            faults=FAULTS,
            report_dir=tmp_path,
        )
    lost = caught.value
    assert lost.broken == ("reliable",)
    assert "verify.replay(" in str(lost)
    assert list(tmp_path.glob("update-lost-*.json"))
    with toy.ToyServer() as server, pytest.raises(UpdateLost):
        verify.replay(kind, server, lost.schedule, settle=1.0)


def no_writes(address: str) -> Any:
    store = toy.RightStore(address)
    store.put = store.delete = store.put_many = _refuse  # type: ignore[method-assign,assignment]
    return store


def _refuse(*_: object) -> None:
    raise ConnectionError("no")


@pytest.mark.slow
def test_what_proves_nothing_in_any_share_proves_nothing(pool: concurrent.futures.Executor) -> None:
    with pytest.raises(ProvedNothing, match="no write was acknowledged in 4 examples"):
        verify.no_update_lost(
            no_writes,
            toy.ToyServer,
            executor=pool,
            seed=1,
            max_examples=4,
            settle=0.3,
            notice=None,
            faults=FAULTS,
        )


def dies_once(mark: str, address: str) -> Any:
    """A client whose process is killed the first time that it is opened anywhere."""
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        pass
    else:
        os.kill(os.getpid(), signal.SIGKILL)
    return toy.RightStore(address)


@pytest.mark.slow
def test_a_share_whose_worker_was_killed_is_played_again(tmp_path: Path) -> None:
    """A pool of processes is broken then and takes nothing more: what is left is played here."""
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=spawned) as executor:
        with pytest.warns(verify.WorkerDied, match="its share was played again"):
            report = verify.no_update_lost(
                functools.partial(dies_once, str(tmp_path / "mark")),
                toy.ToyServer,
                executor=executor,
                seed=3,
                max_examples=20,
                notice=None,
                faults=FAULTS,
            )
    assert report.examples == 20


class Killed(concurrent.futures.ThreadPoolExecutor):
    """Workers that die before they play, as often as they are told to."""

    deaths = 0

    def submit(self, call: Any, /, *arguments: Any, **options: Any) -> Any:
        if self.deaths:
            self.deaths -= 1
            future: concurrent.futures.Future[str] = concurrent.futures.Future()
            future.set_exception(BrokenProcessPool("a worker died"))
            return future
        return super().submit(call, *arguments, **options)


@pytest.mark.parametrize("deaths", [1, 2])
def test_an_executor_that_goes_on_gets_the_share_again(deaths: int) -> None:
    with Killed(2) as executor:
        executor.deaths = deaths
        with pytest.warns(verify.WorkerDied, match=f"died {deaths} time"):
            report = verify.no_update_lost(
                toy.RightStore,
                toy.ToyServer,
                executor=executor,
                seed=3,
                max_examples=3,
                notice=None,
                faults=FAULTS,
            )
    assert report.examples == 3


def test_a_share_whose_worker_always_dies_is_an_error() -> None:
    with Killed(2) as executor:
        executor.deaths = 1000
        with pytest.raises(BrokenProcessPool):
            verify.no_update_lost(
                toy.RightStore, toy.ToyServer, executor=executor, seed=3, max_examples=3, faults=FAULTS
            )


def test_what_a_share_raises_is_raised() -> None:
    def no_server() -> Any:
        raise LookupError("no server here")

    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        with pytest.raises(LookupError, match="no server here"):
            verify.no_update_lost(toy.RightStore, no_server, executor=executor, seed=1)


def test_what_cannot_be_sent_is_said_in_one_sentence(pool: concurrent.futures.Executor) -> None:
    with pytest.raises(
        TypeError, match="open_store and server must be such as can be sent to the workers"
    ) as caught:
        verify.no_update_lost(lambda address: toy.RightStore(address), toy.ToyServer, executor=pool)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("prove", [verify.no_update_lost, verify.sweep])
def test_bad_arguments_are_refused_at_the_call(prove: Any, server: Any) -> None:
    with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor, not 4"):
        prove(toy.RightStore, toy.ToyServer, executor=4)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        with pytest.raises(TypeError, match="server must be a function that gives a context manager"):
            prove(toy.RightStore, server, executor=executor)


@pytest.mark.slow
def test_max_seconds_ends_it_with_what_was_played() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        report = verify.no_update_lost(
            toy.RightStore,
            toy.ToyServer,
            executor=executor,
            seed=1,
            max_examples=100_000,
            max_seconds=4,
            notice=None,
            faults=FAULTS,
        )
    assert report.interrupted is not None
    assert 0 < report.examples < 100_000


@pytest.mark.slow
def test_a_sweep_in_workers(pool: concurrent.futures.Executor) -> None:
    report = verify.sweep(
        toy.RightStore,
        toy.ToyServer,
        executor=pool,
        direction="down",
        stride=20,
        how=["fin"],
        notice=None,
        seed=1,
    )
    with toy.ToyServer() as server:
        alone = verify.sweep(
            toy.RightStore, server, direction="down", stride=20, how=["fin"], notice=None, seed=1
        )
    assert abs(report.examples - alone.examples) <= 3  # each learns for itself how far a connection goes
    assert report.examples > 5


def test_nothing_is_left_running() -> None:
    before = set(threading.enumerate())
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        verify.no_update_lost(
            toy.RightStore,
            toy.ToyServer,
            executor=executor,
            seed=3,
            max_examples=3,
            notice=None,
            faults=FAULTS,
        )
    assert {thread for thread in set(threading.enumerate()) - before if "netfault" in thread.name} == set()


@pytest.mark.slow
def test_loky(tmp_path: Path) -> None:
    loky = pytest.importorskip("loky", reason="loky is not installed: pip install loky")
    executor = loky.ProcessPoolExecutor(2)
    try:
        with pytest.warns(verify.WorkerDied, match="its share was played again"):
            report = verify.no_update_lost(
                functools.partial(dies_once, str(tmp_path / "mark")),
                toy.ToyServer,
                executor=executor,
                seed=3,
                max_examples=10,
                notice=None,
                faults=FAULTS,
            )
    finally:
        executor.shutdown(kill_workers=True)
    assert report.examples == 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of dask's own making: event loops, ports, processes that end
def test_a_dask_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        report = verify.no_update_lost(
            toy.RightStore,
            toy.ToyServer,
            executor=client.get_executor(),
            seed=3,
            max_examples=20,
            notice=None,
            faults=FAULTS,
        )
        assert report.examples == 20
        with pytest.raises(UpdateLost):
            verify.no_update_lost(
                MUTANTS["ResumesFromNow"],
                toy.ToyServer,
                executor=client.get_executor(),
                seed=1,
                settle=1.0,
                notice=None,
                faults=FAULTS,
            )
