"""ZooKeeper of Debian's jars; the truth is what its nodes hold, read over a direct session."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from docs.gallery.servers.common import program, said
from pytest_netfault.servers import OwnedServer, ServerError, ServerNotFound

_JAR = Path("/usr/share/java/zookeeper.jar")
_JARS = f"{_JAR}:/usr/share/java/slf4j-simple.jar"
_JVM = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
ROOT = "/settings"


def _command(port: int, folder: Path) -> list[str]:
    options = {
        "tickTime": 500,
        "dataDir": folder / "data",
        "clientPort": port,
        "clientPortAddress": "127.0.0.1",
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "*",
        "preAllocSize": 64,
        "maxClientCnxns": 0,
    }
    (folder / "zoo.cfg").write_text("".join(f"{name}={value}\n" for name, value in options.items()))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return [program("java", "any JRE"), *_JVM, "-cp", f"{folder}:{_JARS}", main, str(folder / "zoo.cfg")]


def _ready(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"ruok")
        if connection.recv(4) != b"imok":
            raise ServerError("it is not ready")


@contextlib.contextmanager
def open_server() -> Iterator[SimpleNamespace]:
    if not _JAR.exists():
        raise ServerNotFound(f"there is no {_JAR}; Debian's libzookeeper-java has it")
    with OwnedServer(_command, ready=_ready, name="zookeeper") as server:
        direct = KazooClient(hosts=server.address, timeout=10)
        direct.start(timeout=30)
        direct.ensure_path(ROOT)

        def read(prefix: str) -> dict[str, str]:
            held = {}
            for name in direct.get_children(ROOT):
                with contextlib.suppress(NoNodeError):  # deleted meanwhile
                    if name.startswith(prefix):
                        held[name] = direct.get(f"{ROOT}/{name}")[0].decode()
            return held

        try:
            yield SimpleNamespace(address=server.address, read=read, output=server.output)
        finally:
            direct.stop()
            direct.close()


def version() -> str:
    if not _JAR.exists():
        raise ServerNotFound(f"there is no {_JAR}; Debian's libzookeeper-java has it")
    installed = said("dpkg-query", "--showformat=${Version}", "--show", "libzookeeper-java")
    found = re.match(r"[\d.]+", installed)
    return f"ZooKeeper {found[0]}" if found else "ZooKeeper"
