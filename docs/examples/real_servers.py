"""Redis and PostgreSQL from the machine's packages, each a process of ours on a free port.

The examples prove clients of servers that nobody here wrote. A server is started in a directory of its own, keeps
nothing, and ends with the test session, also when that is killed. Where the program is missing, the test is skipped
and says which package has it.

Whatever serves your own tests (a service container, testcontainers, pytest-postgresql) does as well: the proof needs
an address.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pytest_netfault.servers.ports import ReservedPort
from pytest_netfault.servers.process import OwnedProcess
from pytest_netfault.servers.scratch import ScratchDirectory

PATIENCE_SECONDS = 60.0  # far longer than a server takes to start: reached only when something is broken
ASKING_SECONDS = 0.02

_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """The address of a Redis that is ours until the block ends; it must know ids such as ``0-*`` (Redis 7)."""
    program = _program("redis-server", package="redis-server")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if "v=" not in version or int(version.split("v=")[1].split(".")[0]) < 7:
        pytest.skip(f"Redis 7 is needed, which numbers the entries of a stream; this is {version.strip()}")
    with ScratchDirectory("redis") as directory, ReservedPort() as port:
        options = {
            "port": port.number,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": directory.path,
        }
        command = [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
        with _running(command, directory.path, lambda: _hears(port.number, b"PING\r\n", b"+PONG")):
            yield f"127.0.0.1:{port.number}"


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL that is ours until the block ends; user and database are called ``postgres``."""
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    server, initdb = (_program(name, *folders, package="postgresql") for name in ("postgres", "initdb"))
    with ScratchDirectory("postgres") as directory, ReservedPort() as port:
        user = _somebody_else(directory.path)
        data = directory.path / "data"
        # -N and fsync=off: what is lost with the machine's power is not wanted any more.
        make = [
            *user,
            initdb,
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        output = directory.path / "initdb.txt"
        made = OwnedProcess(make, output=output, environment=_ENVIRONMENT, folder=directory.path)
        try:
            if not made.wait(PATIENCE_SECONDS) or made.returncode != 0:
                raise AssertionError(f"initdb failed: {output.read_text(errors='replace')}")
        finally:
            made.kill()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port.number,
            "unix_socket_directories": "",
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        # How libpq introduces itself. While it starts, the answer is an error; later it asks who we are: R.
        hello = (196608).to_bytes(4, "big") + b"user\0postgres\0\0"
        hello = (4 + len(hello)).to_bytes(4, "big") + hello
        with _running(
            [*user, server, "-D", str(data), *settings],
            directory.path,
            lambda: _hears(port.number, hello, b"R"),
            goodbye=signal.SIGINT,  # so that it gives its shared memory back
        ):
            yield f"127.0.0.1:{port.number}"


def _somebody_else(directory: Path) -> list[str]:
    """What to put before a command that refuses to run as root, as PostgreSQL does; the directory becomes theirs."""
    data = directory / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
    directory.chmod(0o711)
    shutil.chown(data, "postgres", "postgres")
    # The kernel forgets that the process is to die with us when its user changes: setpriv says so once more.
    become = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
    return [_program("setpriv", package="util-linux"), *become]


def _program(name: str, *folders: str, package: str) -> str:
    found = shutil.which(
        name, path=os.pathsep.join([_ENVIRONMENT["PATH"], "/usr/sbin", "/usr/local/sbin", *folders])
    )
    if found is None:
        pytest.skip(f"the program {name} is not installed; the Debian package {package} has it")
    return found


@contextlib.contextmanager
def _running(
    command: Sequence[str],
    directory: Path,
    ready: Callable[[], bool],
    *,
    goodbye: signal.Signals = signal.SIGKILL,
) -> Iterator[None]:
    output = directory / "output.txt"
    process = OwnedProcess(command, output=output, environment=_ENVIRONMENT, folder=directory)
    try:
        for _ in range(int(PATIENCE_SECONDS / ASKING_SECONDS)):
            if ready():
                break
            if process.wait(ASKING_SECONDS):
                raise AssertionError(f"{command[0]} ended: {output.read_text(errors='replace')}")
        else:
            raise AssertionError(f"{command[0]} does not answer: {output.read_text(errors='replace')}")
        yield
    finally:
        if process.returncode is None and goodbye is not signal.SIGKILL:
            os.kill(process.pid, goodbye)
            process.wait(10)
        process.kill()


def _hears(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(question)
            return connection.recv(len(answer), socket.MSG_WAITALL) == answer
    except OSError:
        return False
