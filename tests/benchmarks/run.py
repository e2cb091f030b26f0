"""Run every benchmark of this folder (and the wrapper's), one after another: ``tox -e bench [NAME ...]``.

A benchmark that cannot run here says in one sentence what it needs, and the others go on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = (HERE, HERE.parent.parent / "wrapper" / "tests" / "benchmarks")


def main() -> int:
    wanted = sys.argv[1:]
    worst = 0
    for script in sorted(path for folder in FOLDERS for path in folder.glob("bench_*.py")):
        if wanted and not any(word in script.stem for word in wanted):
            continue
        print(f"== {script.stem.removeprefix('bench_')}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, str(script)]).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
