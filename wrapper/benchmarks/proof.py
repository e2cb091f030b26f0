"""The proof kit's figures for the wrapper: drawn schedules, and a cut at every single byte.

    python wrapper/benchmarks/proof.py                     # 200 schedules, then every byte: about 10 minutes
    python wrapper/benchmarks/proof.py --examples 1000 --stride 0 --seed 7
    python wrapper/benchmarks/proof.py --examples 0 --stride 10 --etcd ./etcd

Prints the two reports; exits with 1 and the story if an update is lost.
"""

# ruff: noqa: T201 - printing is what it does
from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType

from pytest_netfault import verify
from pytest_netfault.servers.etcd import find_etcd

ADAPTER = Path(__file__).parents[2] / "docs" / "examples" / "stores" / "runtime_config_store.py"


def adapter() -> ModuleType:
    """The wrapper behind the kit's `Store` protocol, as in the documentation."""
    spec = importlib.util.spec_from_file_location("runtime_config_store", ADAPTER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report_progress(progress: verify.Progress) -> None:
    if progress.done % 500 == 0:
        print(f"  {progress.done} of {progress.of}, {progress.seconds:.0f} s", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=200, help="schedules to draw; 0 for none")
    parser.add_argument("--stride", type=int, default=1, help="every so many-th byte; 0 for no sweep")
    parser.add_argument("--etcd", help="what --netfault-etcd takes")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    logging.getLogger("runtime_config").setLevel(logging.CRITICAL)
    open_store = adapter().open_store
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
