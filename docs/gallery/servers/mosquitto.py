"""mosquitto. It saves a message after it has acknowledged it, so that a kill is not among its abilities.

It keeps no log: the truth is which publications it has acknowledged.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from docs.gallery.servers.common import program, said
from pytest_netfault.servers import OwnedServer


def _command(port: int, folder: Path) -> list[str]:
    options = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "max_queued_messages 0",
        "log_dest stderr",
    ]
    if os.getuid() == 0:
        options.append("user root")
    (folder / "mosquitto.conf").write_text("\n".join(options) + "\n")
    return [program("mosquitto", "Debian's mosquitto"), "-c", str(folder / "mosquitto.conf")]


@contextlib.contextmanager
def open_server() -> Iterator[SimpleNamespace]:
    with OwnedServer(_command, name="mosquitto") as server:
        yield SimpleNamespace(
            address=server.address, pause=server.pause, resume=server.resume, output=server.output
        )


def version() -> str:
    found = re.search(r"version ([\d.]+)", said(program("mosquitto", "Debian's mosquitto"), "-h"))
    return f"mosquitto {found[1]}" if found else "mosquitto"
