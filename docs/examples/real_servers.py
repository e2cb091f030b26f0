"""Redis and PostgreSQL from the machine's packages, each a process of ours on a free port.

The examples prove clients of servers that nobody here wrote. `OwnedServer` starts a server in a folder of its own and
ends it with the test session, also when that is killed. Where the program is missing, the test is skipped and says
which package has it.

Whatever serves your own tests (a service container, testcontainers, pytest-postgresql) does as well: the proof needs
an address.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_netfault.servers import OwnedProcess, OwnedServer

PATIENCE_SECONDS = 60.0  # far longer than anything here takes: reached only when something is broken


def redis() -> OwnedServer:
    """A Redis that is ours while its block runs; it must know ids such as ``0-*`` (Redis 7)."""
    program = _program("redis-server", package="redis-server")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if "v=" not in version or int(version.split("v=")[1].split(".")[0]) < 7:
        pytest.skip(f"Redis 7 is needed, which numbers the entries of a stream; this is {version.strip()}")

    def command(port: int, folder: Path) -> list[str]:
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
        return [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]

    return OwnedServer(command, ready=_answers(b"PING\r\n", b"+PONG"), name="redis")


def postgres() -> OwnedServer:
    """A PostgreSQL that is ours while its block runs; user and database are called ``postgres``."""
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    server, initdb = (_program(name, *folders, package="postgresql") for name in ("postgres", "initdb"))
    user = _user_for_postgres()

    def prepare(folder: Path) -> None:
        # -N and fsync=off: nobody needs what would be lost with the machine's power.
        options = ["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        output = folder / "initdb.txt"
        command = [initdb, "-D", str(folder / "data"), *options]
        with OwnedProcess(command, output=output, folder=folder, user=user) as made:
            if not made.wait(PATIENCE_SECONDS) or made.returncode != 0:
                raise AssertionError(f"initdb failed: {made.output()}")

    def command(port: int, folder: Path) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        return [server, "-D", str(folder / "data"), *settings]

    # How libpq introduces itself. While the server starts, the answer is an error; later it asks who we are: R.
    hello = (196608).to_bytes(4, "big") + b"user\0postgres\0\0"
    hello = (4 + len(hello)).to_bytes(4, "big") + hello
    return OwnedServer(
        command,
        ready=_answers(hello, b"R"),
        prepare=prepare,
        stop_signal=signal.SIGINT,  # so that it gives its shared memory back
        user=user,
        name="postgres",
    )


def _user_for_postgres() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
    return "postgres"


def _program(name: str, *folders: str, package: str) -> str:
    path = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *folders]
    found = shutil.which(name, path=os.pathsep.join(path))
    if found is None:
        pytest.skip(f"the program {name} is not installed; the Debian package {package} has it")
    return found


def _answers(question: bytes, answer: bytes) -> Callable[[int], None]:
    """Whether a server is ready: it answers a question of its protocol."""

    def ready(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(question)
            if connection.recv(len(answer), socket.MSG_WAITALL) != answer:
                raise OSError("it answered something else")

    return ready
