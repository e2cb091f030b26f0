"""The proof kit's figures for the wrapper: drawn schedules, and a cut at every single byte.

    python wrapper/benchmarks/proof.py                     # 200 schedules, then every byte: about 10 minutes
    python wrapper/benchmarks/proof.py --examples 1000 --stride 0 --seed 7
    python wrapper/benchmarks/proof.py --aio --examples 1000 --stride 0 --seed 7
    python wrapper/benchmarks/proof.py --examples 0 --stride 10 --etcd ./etcd

Prints the two reports; exits with 1 and the story if an update is lost.
"""

# ruff: noqa: T201 - printing is what it does
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import inspect
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime_config import Unavailable

from pytest_netfault import verify
from pytest_netfault.servers.etcd import find_etcd

ADAPTERS = Path(__file__).parents[2] / "docs" / "examples" / "stores"
OPENINGS = 20


def adapter(name: str) -> ModuleType:
    """The wrapper behind the kit's `Store` protocol, as in the documentation."""
    spec = importlib.util.spec_from_file_location(name, ADAPTERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def patiently(open_store: Any) -> Any:
    """Open again what could not be opened: on a busy machine the only attempt that `patience=0` makes may fail."""

    def opened(address: str) -> Any:
        for _ in range(OPENINGS - 1):
            with contextlib.suppress(Unavailable):
                return open_store(address)
        return open_store(address)

    async def opened_soon(address: str) -> Any:
        for _ in range(OPENINGS - 1):
            with contextlib.suppress(Unavailable):
                return await open_store(address)
        return await open_store(address)

    made: Any = opened_soon if inspect.iscoroutinefunction(open_store) else opened
    made.rejected = getattr(open_store, "rejected", ())
    return made


def report_progress(progress: verify.Progress) -> None:
    if progress.done % 500 == 0:
        print(f"  {progress.done} of {progress.of}, {progress.seconds:.0f} s", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=200, help="schedules to draw; 0 for none")
    parser.add_argument("--stride", type=int, default=1, help="every so many-th byte; 0 for no sweep")
    parser.add_argument("--aio", action="store_true", help="prove AsyncConfigStore instead of ConfigStore")
    parser.add_argument("--etcd", help="what --netfault-etcd takes")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    logging.getLogger("runtime_config").setLevel(logging.CRITICAL)
    name = "async_runtime_config_store" if options.aio else "runtime_config_store"
    open_store = patiently(adapter(name).open_store)
    server = find_etcd(options.etcd).start()
    try:
        print(f"etcd {server.version}")
        if options.examples:
            count, seed = options.examples, options.seed
            print(
                verify.no_update_lost(
                    open_store, server, max_examples=count, seed=seed, progress=report_progress
                ),
                flush=True,
            )
        if options.stride:
            print(
                verify.sweep(
                    open_store, server, stride=options.stride, seed=options.seed, progress=report_progress
                ),
                flush=True,
            )
    except AssertionError as error:
        print(error)
        return 1
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
