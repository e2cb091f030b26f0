"""What the plugin costs a session that does not use it: ``python tests/benchmarks/bench_plugin.py [ROUNDS]``.

``pytest -q`` runs in an empty directory with no plugin but ours, with none at all, and with one that does nothing;
the three take turns, so that other load on the machine affects all of them alike. Reported is the CPU of the process
(user and system), because wall time on a shared machine says little. The smallest of many rounds is the steadiest
figure: noise only ever adds. The goal is that the plugin adds less than 15 ms.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

GOAL_MILLISECONDS = 15.0
CASES = {
    "no plugin": [],
    "a plugin that does nothing": ["-p", "does_nothing"],
    "netfault": ["-p", "netfault"],
}


def cpu_milliseconds(directory: Path, options: list[str]) -> float:
    """CPU of one session in an empty directory, start and end of Python included."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *options,
        str(directory / "empty"),
    ]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(directory)}
    environment.pop("PYTEST_ADDOPTS", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=directory / "empty", env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 5, done.stdout.decode() + done.stderr.decode()  # no tests were collected
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    figures: dict[str, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "empty").mkdir()
        (directory / "does_nothing.py").write_text("")
        for options in CASES.values():
            cpu_milliseconds(directory, options)  # fills the caches of compiled files
        for _ in range(rounds):
            for case, options in CASES.items():
                figures[case].append(cpu_milliseconds(directory, options))
    base = figures["no plugin"]
    print(f"CPU of `pytest -q` in an empty directory, {rounds} rounds in turns, milliseconds")
    print(f"{'':28}{'smallest':>10}{'added':>8}{'median':>10}{'added':>8}")
    for case, all_of_them in figures.items():
        least, middle = min(all_of_them), statistics.median(all_of_them)
        added = least - min(base), middle - statistics.median(base)
        print(f"{case:28}{least:10.1f}{added[0]:8.1f}{middle:10.1f}{added[1]:8.1f}")
    print(f"goal: netfault adds less than {GOAL_MILLISECONDS:.0f} ms")


if __name__ == "__main__":
    main()
