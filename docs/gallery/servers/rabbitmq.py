"""RabbitMQ with an epmd of its own. It takes ten seconds and more to start, so that a kill is not among its abilities.

It keeps no log that is not itself a queue: the truth is which publications it has confirmed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from docs.gallery.servers.common import program
from pytest_netfault.servers import OwnedProcess, OwnedServer, ReservedPort, ServerNotFound

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def _ready(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"AMQP\0\0\x09\x01")
        if connection.recv(1) != b"\x01":  # a method frame: Connection.Start
            raise OSError("it does not speak AMQP yet")


def _end(file: Path) -> None:
    """End the process whose number is in a file."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(file.read_text()), signal.SIGKILL)


@contextlib.contextmanager
def open_server() -> Iterator[SimpleNamespace]:
    if not _SERVER.exists():
        raise ServerNotFound(f"there is no {_SERVER}; Debian's rabbitmq-server has it")
    with contextlib.ExitStack() as stack:
        names, distribution = (stack.enter_context(ReservedPort()).number for _ in range(2))
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "ERL_EPMD_PORT": str(names)}
        environment |= {"ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": str(distribution)}

        def prepare(folder: Path) -> None:
            (folder / ".erlang.cookie").write_text("gallery")
            (folder / ".erlang.cookie").chmod(0o400)
            (folder / "plugins").write_text("[].\n")
            epmd = [program("epmd", "Debian's erlang-base"), "-port", str(names), "-address", "127.0.0.1"]
            stack.enter_context(OwnedProcess(epmd, output=folder / "epmd.txt", folder=folder))
            environment.update(
                HOME=str(folder),
                RABBITMQ_NODENAME=f"r{distribution}@localhost",
                RABBITMQ_CONFIG_FILE=str(folder / "rabbitmq.conf"),
                RABBITMQ_ADVANCED_CONFIG_FILE=str(folder / "none.config"),
                RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "plugins"),
                RABBITMQ_MNESIA_BASE=str(folder / "mnesia"),
                RABBITMQ_LOG_BASE=str(folder),
                RABBITMQ_LOGS="-",
                RABBITMQ_PID_FILE=str(folder / "pid"),
                RABBITMQ_CONF_ENV_FILE="/dev/null",
                RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
            )

        def command(port: int, folder: Path) -> list[str]:
            options = [f"listeners.tcp.1 = 127.0.0.1:{port}", "disk_free_limit.absolute = 50MB"]
            (folder / "rabbitmq.conf").write_text("\n".join(options) + "\n")
            shell = [f"export {name}='{value}';" for name, value in environment.items()]
            return ["/bin/sh", "-c", " ".join([*shell, f"exec {_SERVER}"])]

        server = OwnedServer(command, ready=_ready, prepare=prepare, name="rabbitmq", start_timeout=180)
        stack.enter_context(server)
        stack.callback(_end, server.folder / "pid")  # the shell that started it would leave it running
        yield SimpleNamespace(address=server.address, output=server.output)


def version() -> str:
    there = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    if not there:
        raise ServerNotFound("RabbitMQ is not installed; Debian's rabbitmq-server has it")
    return f"RabbitMQ {there[-1].name.partition('-')[2]}"
