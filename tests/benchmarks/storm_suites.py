"""Suites that nobody here wrote, plain and through a storm: ``python tests/benchmarks/storm_suites.py [NAME...]``.

For each row of ``storm_table.py``: pip fetches the source archive of a released package, for its tests, and installs
the package in an environment of its own; its tests run against a real server through a link, first as they are and
then with ``--netfault-storm``. The table of what that took and found is printed at the end. Whether a finding is true,
a person says, who reads the report of the session: it is kept beside the archive, as ``storm.txt``.

A row takes minutes. What was fetched is kept in the folder and used again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "docs" / "examples")]

import real_servers  # noqa: E402
from storm_table import SUITES, Suite  # noqa: E402

KINDS = ("hang", "undeclared error", "wrong result", "leak")
# Nothing of what is installed here, and no option of the suite's own (coverage, parallel runs).
ALONE = ("-o", "addopts=", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "ignore")
MOST_MINUTES = 20


@dataclass(frozen=True)
class Row:
    """What came of a suite."""

    suite: Suite
    tests: int
    plays: int
    places: int
    seconds: float
    causes: tuple[str, ...]

    def __str__(self) -> str:
        counts = [sum(cause.startswith(f"{kind}:") for cause in self.causes) for kind in KINDS]
        cells = [
            f"{self.suite.package} {self.suite.version}",
            self.suite.server,
            len(self.suite.link.splitlines()),
            self.tests,
            self.places,
            self.plays,
            f"{self.seconds / 60:.1f}",
            *counts,
        ]
        return f"| {' | '.join(map(str, cells))} |"


HEAD = (
    "| suite | server | lines | tests | places | plays | minutes | hangs | errors | wrong | leaks |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def fetch(suite: Suite, folder: Path) -> Path:
    """The folder of the unpacked source archive; what is there already is used."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (found := [path for path in (folder / "source").glob("*") if path.is_dir()]):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "-d", folder, f"{suite.package}=={suite.version}"], check=True)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as file:
            file.extractall(folder / "source", filter="data")
        found = [path for path in (folder / "source").glob("*") if path.is_dir()]
    (folder / "storm_link.py").write_text(suite.link, encoding="utf-8")
    return found[0]


def environment(suite: Suite, folder: Path) -> Path:
    """The Python of an environment with the package, what its tests need, and this plugin."""
    python = folder / "env" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "env", with_pip=True, symlinks=True)
        packages = [suite.installed or f"{suite.package}=={suite.version}", *suite.needs]
        command = [str(python), "-m", "pip", "install", "-q", "-e", str(ROOT), *packages]
        if subprocess.run(command, check=False).returncode != 0:
            shutil.rmtree(folder / "env")
            raise SystemExit(f"{suite.package} cannot be installed")
    return python


def run(suite: Suite, source: Path, python: Path, output: str, *options: str) -> tuple[str, float]:
    """What a session of its tests prints, also into a file of that name, and how long it takes."""
    servers: Any = {"redis": real_servers.redis, "postgres": real_servers.postgres}
    folder = source.parents[1]
    with servers[suite.server]() as server, (folder / output).open("w") as file:
        set_here = {"SERVER": server.address, "PYTHONPATH": str(folder), **dict(suite.environment)}
        command = [
            str(python),
            "-m",
            "pytest",
            "-v",
            "--tb=short",
            "-p",
            "storm_link",
            *ALONE,
            *options,
            *suite.tests,
        ]
        began = time.monotonic()
        subprocess.run(
            command,
            cwd=source,
            env=os.environ | set_here,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=MOST_MINUTES * 60,
            check=False,
        )
    return (folder / output).read_text(encoding="utf-8"), time.monotonic() - began


def play(suite: Suite, folder: Path, python: Path | None, places: int | None) -> Row:
    """One row of the table."""
    source = fetch(suite, folder)
    python = python or environment(suite, folder)
    plain, _ = run(suite, source, python, "plain.txt")
    passed = re.search(r"(\d+) passed", plain)
    if passed is None or re.search(r"\d+ (failed|error)", plain):
        raise SystemExit(f"{suite.package} does not pass as it is:\n{plain[-3000:]}")
    said, seconds = run(
        suite,
        source,
        python,
        "storm.txt",
        "--netfault-storm",
        *(("-k", suite.faults) if suite.faults else ()),
        "--netfault-seed=1",
        f"--netfault-storm-places={places or suite.places}",
        f"--netfault-storm-seconds={suite.seconds:g}",
        f"--netfault-storm-allow={','.join(suite.allow)}",
        f"--netfault-output={folder / 'timelines'}",
    )
    counts = re.search(r"(\d+) plays? at (\d+) places? of (\d+) tests?", said)
    if counts is None:
        raise SystemExit(f"{suite.package}: no storm in\n{said[-3000:]}")
    summary = said.rpartition(" netfault storm ")[2]
    causes = tuple(re.findall(rf"^(?:{'|'.join(KINDS)}): .*$", summary, re.MULTILINE))
    plays, where, tests = map(int, counts.groups())
    return Row(suite, tests, plays, where, seconds, causes)


def main() -> None:
    """Play the rows that are asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[suite.package for suite in SUITES], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=Path("~/.cache/pytest-netfault/suites"))
    parser.add_argument("--places", type=int, help="at how many places each test is played")
    parser.add_argument(
        "--python", type=Path, help="of an environment that has everything, in place of new ones"
    )
    arguments = parser.parse_args()
    rows = []
    for suite in SUITES:
        if not arguments.names or suite.package in arguments.names:
            folder = arguments.folder.expanduser().resolve() / suite.package
            rows.append(play(suite, folder, arguments.python, arguments.places))
            print(*HEAD, rows[-1], *rows[-1].causes, sep="\n", flush=True)
    print("", *HEAD, *rows, sep="\n")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
