"""A PostgreSQL of this machine, as an `OwnedServer`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from pytest_netfault.servers import OwnedProcess, OwnedServer

__all__ = ["FOLDERS", "CannotRunPostgres", "postgres_server"]

#: Where Debian puts programs of PostgreSQL that are not on PATH; the newest version first.
FOLDERS = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
# Far longer than it takes: reached only when something is broken.
_PATIENCE = 60.0


class CannotRunPostgres(Exception):
    """There is no user who can run it; the message is one sentence."""


def postgres_server(program: Callable[[str], str], pem: Path) -> OwnedServer:
    """A PostgreSQL with the user ``postgres``, without a password, and with TLS for those who ask for it.

    Args:
        program: the path of a program.
        pem: a certificate and its key.

    Raises:
        CannotRunPostgres: we are root, and there is no user ``postgres``.
    """
    postgres, initdb = program("postgres"), program("initdb")
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            raise CannotRunPostgres(
                "PostgreSQL does not run as root, and there is no user postgres"
            ) from None
        user = "postgres"

    def prepare(folder: Path) -> None:
        options = ["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        command = [initdb, "-D", str(folder / "data"), *options]
        with OwnedProcess(command, output=folder / "initdb.txt", folder=folder, user=user) as made:
            assert made.wait(_PATIENCE)
            assert made.returncode == 0, made.output()
        key = folder / "data" / "server.pem"
        key.write_bytes(pem.read_bytes())
        key.chmod(0o600)
        if user is not None:
            shutil.chown(key, user)

    def command(port: int, folder: Path) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
            "ssl": "on",
            "ssl_cert_file": "server.pem",
            "ssl_key_file": "server.pem",
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        return [postgres, "-D", str(folder / "data"), "-p", str(port), *settings]

    # SIGINT, so that it gives its shared memory back.
    return OwnedServer(command, ready=_answers, prepare=prepare, stop_signal=signal.SIGINT, user=user)


def _answers(port: int) -> None:
    import psycopg

    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
    except psycopg.OperationalError as error:
        raise OSError(str(error)) from error
