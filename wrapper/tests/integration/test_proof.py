"""The proof kit's verdict on the wrapper, at a size for every run of the suite."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from runtime_config import Closed, Section
from runtime_config.aio import AsyncSubscription

from pytest_netfault import Break, Compact, Cut, Delivery, Schedule, Subscribe, Write, verify

pytestmark = pytest.mark.slow

EXAMPLES = 20
AIO_EXAMPLES = 10
# A prime, so that the places fall differently in each of the scenario's repeated messages.
STRIDE = 151


def adapter(name: str) -> ModuleType:
    """An adapter that the documentation shows."""
    folder = Path(__file__).parents[3] / "docs" / "examples" / "stores"
    path = folder / f"{name}.py"
    if not path.exists():
        pytest.skip(f"the adapter {path} is not here; run from a checkout of pytest-netfault")
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def subject() -> ModuleType:
    return adapter("runtime_config_store")


@pytest.fixture
def quiet() -> Iterator[None]:
    """Hundreds of outages are intended: a warning for each would bury the result."""
    logger = logging.getLogger("runtime_config")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("quiet")
def test_no_update_is_lost(subject: ModuleType, etcd_server: Any) -> None:
    pytest.importorskip("hypothesis", reason="schedules are drawn with hypothesis: pip install hypothesis")
    report = verify.no_update_lost(subject.open_store, etcd_server, max_examples=EXAMPLES)
    assert report.examples == EXAMPLES
    assert report.inconclusive == 0
    assert report.writes_acknowledged > 0


@pytest.mark.usefixtures("quiet")
def test_a_subscription_that_began_behind_a_compaction_is_not_reset(
    subject: ModuleType, etcd_server: Any
) -> None:
    """The store's own place was compacted, and the subscription had started from a newer listing: it misses nothing."""
    schedule = Schedule(
        [
            Break(Cut(31, direction="down", how="blackhole")),
            Subscribe(),
            Write("a"),
            Compact(),
            Write("a"),
        ]
    )
    verify.replay(subject.open_store, etcd_server, schedule)


def test_no_update_is_lost_by_the_store_for_asyncio(etcd_server: Any) -> None:
    """`python wrapper/benchmarks/proof.py --aio --examples 1000 --stride 0` tries a thousand."""
    pytest.importorskip("hypothesis", reason="schedules are drawn with hypothesis: pip install hypothesis")
    open_store = adapter("async_runtime_config_store").open_store
    report = verify.no_update_lost(open_store, etcd_server, max_examples=AIO_EXAMPLES)
    assert report.examples == AIO_EXAMPLES
    assert report.inconclusive == 0
    assert report.writes_acknowledged > 0


@pytest.mark.usefixtures("quiet")
def test_no_update_is_lost_by_a_consumer_that_is_cancelled_all_the_time(etcd_server: Any) -> None:
    pytest.importorskip("hypothesis", reason="schedules are drawn with hypothesis: pip install hypothesis")
    subject = adapter("async_runtime_config_store")
    cancelled = 0

    class Impatient(subject.AsyncStore):  # type: ignore[name-defined, misc]
        async def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
            updates = await self.store.subscribe(Section(prefix.rstrip(".")))
            self.following = asyncio.create_task(self.follow(updates, deliver))

        async def close(self) -> None:
            await self.store.close()
            if hasattr(self, "following"):
                await self.following

        async def follow(self, updates: AsyncSubscription, deliver: Callable[[Delivery], None]) -> None:
            nonlocal cancelled
            turns = 0
            with suppress(Closed):
                while True:
                    taking = asyncio.create_task(updates.get())
                    turns = (turns + 1) % 5
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    if not taking.done():
                        taking.cancel()
                    try:
                        deliver(subject.delivery(await taking))
                    except asyncio.CancelledError:
                        cancelled += 1
                        await asyncio.sleep(0.001)

    async def open_store(address: str) -> Any:
        opened = await subject.open_store(address)
        return Impatient(opened.store)

    vars(open_store)["rejected"] = subject.open_store.rejected
    report = verify.no_update_lost(open_store, etcd_server, max_examples=AIO_EXAMPLES)
    assert report.inconclusive == 0
    assert cancelled > 100


@pytest.mark.usefixtures("quiet")
def test_without_its_watchdog_the_proof_finds_that_it_never_notices_a_dead_flow(
    subject: ModuleType, etcd_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty schedules of outages and a sweep of black holes were not enough: all of those are healed."""
    pytest.importorskip("hypothesis", reason="schedules are drawn with hypothesis: pip install hypothesis")
    assert verify.no_update_lost(subject.open_store, etcd_server, max_examples=3).dead_flows == 3
    monkeypatch.setattr(subject, "DEAD_AFTER_SECONDS", 3600.0)  # too long for the pings of gRPC, too
    with pytest.raises(verify.UpdateLost, match="The client never noticed a dead flow"):
        verify.no_update_lost(subject.open_store, etcd_server, max_examples=3, notice=6.0)


@pytest.mark.usefixtures("quiet")
def test_without_its_watchdog_a_sweep_finds_it_too(
    subject: ModuleType, etcd_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "DEAD_AFTER_SECONDS", 3600.0)
    with pytest.raises(verify.UpdateLost, match="never noticed a dead flow"):
        verify.sweep(
            # Long enough for the places to be done, so that the flow is idle when it is forgotten.
            subject.open_store,
            etcd_server,
            direction="down",
            stride=STRIDE,
            how=["blackhole"],
            notice=15.0,
        )


@pytest.mark.usefixtures("quiet")
def test_cut_at_many_bytes_nothing_is_lost(subject: ModuleType, etcd_server: Any) -> None:
    """`python wrapper/benchmarks/proof.py` tries every one of them."""
    report = verify.sweep(subject.open_store, etcd_server, stride=STRIDE)
    reached = report.examples - len(report.holes)
    assert reached > 20
    # The last bytes of a connection (pings, what a retry adds) are not there every time; most places are.
    assert reached > report.examples * 0.8
    assert report.not_closed == 0
