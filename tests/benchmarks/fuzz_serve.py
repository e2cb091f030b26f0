"""Send requests that nobody would send to ``netfault serve``, a million of them, and look at what they leave.

    python tests/benchmarks/fuzz_serve.py [--requests 1000000] [--seed 1] [--connections 2]

Prints how often each status came, memory, descriptors and threads of the server before and after, its exit code, and
what it logged as an error, which must be nothing. An answer that is not promised, or none, ends it with the request.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fuzzing import answers
from support.serving import Serving


def state(pid: int) -> str:
    """Memory, descriptors and threads of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    fds = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return f"{pages * 4 / 1024:.1f} MiB, {fds} descriptors, {threads} threads"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, default=2)
    options = parser.parse_args()
    part = 20_000
    with Serving("--seed=1") as serving:
        pid = serving.process.pid
        answers(serving.port, options.seed, 2_000)
        serving.flush()
        print(f"after 2,000 requests: {state(pid)}", flush=True)
        seen: Counter[int] = Counter()
        failed: list[BaseException] = []
        started = time.monotonic()
        seeds = iter(range(options.seed + 1, sys.maxsize))

        def ask() -> None:
            try:
                while not failed and sum(seen.values()) < options.requests:
                    came = answers(serving.port, next(seeds), part)
                    seen.update(came)
                    print(
                        f"  {sum(seen.values()):,}: {state(pid)}, {time.monotonic() - started:.0f} s",
                        flush=True,
                    )
            except BaseException as error:
                failed.append(error)
                raise

        asking = [threading.Thread(target=ask) for _ in range(options.connections)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        serving.flush()
        time.sleep(2)  # what was disabled a moment ago ends within a second
        print(f"after {sum(seen.values()):,} requests: {state(pid)}")
        print(", ".join(f"{status}: {count:,}" for status, count in sorted(seen.items())))
        code, log = serving.end()
        errors = [line for line in log.splitlines() if "ERROR" in line]
        print(f"exit code {code}; {len(errors)} errors in its log", *errors[:20], sep="\n  ")
    return 1 if failed or code or errors else 0


if __name__ == "__main__":
    sys.exit(main())
