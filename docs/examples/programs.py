"""The programs in languages/: what builds each of them, and the command that runs it afterwards.

    python docs/examples/programs.py          # builds all that can be built here, and says what cannot

What was built is kept outside the checkout, by a digest of its sources and tools: in ``NETFAULT_BUILDS``, by default
``~/.cache/pytest-netfault``. So only the first run of the tests builds, and what is old may be removed at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = Path(__file__).parent / "languages"
LONGEST_SECONDS = 400
JAVA_OPTIONS = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-Dfile.encoding=UTF-8"]


class CannotBuild(Exception):
    """A tool is not installed, or what the program depends on cannot be had here; the message says which."""


@dataclass(frozen=True)
class Program:
    """One way to build and run a folder of sources.

    Attributes:
        folder: where the sources are, below languages/.
        tools: what must be on PATH, with a sentence that says where it is to be had.
        fetch: downloads what it depends on; what fails here is a reason to skip.
        build: makes the program out of that; what fails here is a mistake in the sources.
        command: runs it, given the folder in which it was built.
    """

    folder: str
    tools: Sequence[tuple[str, str]]
    fetch: Sequence[str]
    build: Sequence[str]
    command: Callable[[Path], list[str]]


def _go(name: str) -> Program:
    return Program(
        "go",
        [("go", "Go 1.26 or newer has it")],
        ["go", "mod", "download"],
        ["go", "build", "-o", "program", f"./{name}"],
        lambda built: [str(built / "program")],
    )


PROGRAMS = {
    "go-etcd": _go("etcd"),
    "go-nats": _go("nats"),
    "node-redis": Program(
        "node",
        [("node", "the Debian package nodejs has it"), ("npm", "the Debian package npm has it")],
        ["npm", "ci", "--no-audit", "--no-fund"],
        ["node", "--check", "store.js"],
        lambda built: ["node", str(built / "store.js")],
    ),
    "java-etcd": Program(
        "java",
        [
            ("javac", "the Debian package default-jdk-headless has it"),
            ("mvn", "the Debian package maven has it"),
        ],
        ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"],
        ["javac", "-cp", "jars/*", "Store.java"],
        lambda built: ["java", *JAVA_OPTIONS, "-cp", f"{built}:{built}/jars/*", "Store"],
    ),
}


def command(name: str) -> list[str]:
    """The command that runs a program, which is built if it was not.

    Raises:
        CannotBuild: it cannot be built here.
        RuntimeError: its sources are wrong.
    """
    program = PROGRAMS[name]
    for tool, source in program.tools:
        if shutil.which(tool) is None:
            raise CannotBuild(f"{tool} is not installed; {source}")
    built = _cache() / f"{name}-{_digest(program)}"
    if not built.exists():
        with (_cache() / f"{name}.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # tests that run side by side build it once
            if not built.exists():
                _build(program, built)
    return program.command(built)


def _build(program: Program, built: Path) -> None:
    with tempfile.TemporaryDirectory(dir=_cache()) as scratch:
        folder = Path(scratch) / "built"
        shutil.copytree(LANGUAGES / program.folder, folder)
        fetched = _run(program.fetch, folder)
        if fetched is not None:
            raise CannotBuild(f"{' '.join(program.fetch)} failed: {fetched}")
        failed = _run(program.build, folder)
        if failed is not None:
            raise RuntimeError(f"{' '.join(program.build)} failed: {failed}")
        folder.rename(built)


def _run(arguments: Sequence[str], folder: Path) -> str | None:
    """None if it ended well, else the end of what it printed."""
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"it had not ended after {LONGEST_SECONDS} s"
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-2_000:]


def _digest(program: Program) -> str:
    digest = hashlib.sha256()
    for path in sorted((LANGUAGES / program.folder).rglob("*")):
        if path.is_file():
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    for tool, _ in program.tools:
        digest.update(os.path.realpath(shutil.which(tool) or tool).encode())
    return digest.hexdigest()[:16]


def _cache() -> Path:
    folder = Path(os.environ.get("NETFAULT_BUILDS") or Path.home() / ".cache" / "pytest-netfault")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    for name in PROGRAMS:
        began = time.monotonic()
        try:
            command(name)
        except CannotBuild as reason:
            sys.stdout.write(f"{name}: not here: {reason}\n")
        else:
            sys.stdout.write(f"{name}: built, or found, in {time.monotonic() - began:.1f} s\n")
