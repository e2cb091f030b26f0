"""What the servers of the gallery share: finding a program, and a log that is a list."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_netfault.servers import ServerNotFound


@dataclass(frozen=True)
class Change:
    """One change as the store keeps it."""

    type: str
    key: bytes
    value: bytes | None


@dataclass(frozen=True)
class Revision:
    """What was committed together."""

    revision: int
    events: tuple[Change, ...]


def revision(number: int, key: str, value: str | None) -> Revision:
    """One change that was committed alone."""
    changed = Change(
        "delete" if value is None else "put", key.encode(), None if value is None else value.encode()
    )
    return Revision(number, (changed,))


def program(name: str, package: str, *folders: str) -> str:
    """The path of a program.

    Raises:
        ServerNotFound: it is not installed.
    """
    here = str(Path(sys.executable).parent)  # a wheel has some of them
    path = os.pathsep.join(
        [here, os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *folders]
    )
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerNotFound(f"{name} is not installed; {package} has it")
    return found


def said(*command: str) -> str:
    """What a program prints, in one line."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return " ".join((done.stdout + done.stderr).split())
