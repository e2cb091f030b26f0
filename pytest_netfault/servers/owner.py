"""Who owns what outlives processes, such as a container, and whether that owner is certainly dead.

A process number alone is not enough: numbers are reused, and other machines and containers have the same ones. So an
owner is written as the machine, its boot, the PID name space, the number, and the start time of that process.

In doubt an owner counts as alive, because what belongs to a dead one is removed.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Owner", "read_owner", "this_process"]


@dataclass(frozen=True)
class Owner:
    """One process of one machine; an empty text is something that this system does not tell.

    Attributes:
        machine: the identity of the installed system.
        boot: the identity of the running kernel.
        space: the space that the process number belongs to.
        pid: the process number.
        started: when the process started, in ticks since the boot.
    """

    machine: str
    boot: str
    space: str
    pid: int
    started: str

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    def is_dead(self) -> bool:
        """Whether it has certainly ended, as seen by this process."""
        here = this_process()
        if not self.machine or self.machine != here.machine or not self.boot or not here.boot:
            return False
        if self.boot != here.boot:
            return True
        if not self.space or self.space != here.space or not self.started:
            return False
        started = _started(self.pid)
        return started is not None and started != self.started


def this_process() -> Owner:
    """The owner that we are."""
    return Owner(
        machine=_text("/etc/machine-id"),
        boot=_text("/proc/sys/kernel/random/boot_id"),
        space=_link("/proc/self/ns/pid"),
        pid=os.getpid(),
        started=_started(os.getpid()) or "",
    )


def read_owner(text: str) -> Owner | None:
    """Read ``str(owner)``; None if it is not one.

    >>> read_owner(str(this_process())) == this_process()
    True
    >>> read_owner("somebody") is None
    True
    """
    try:
        owner = Owner(**json.loads(text))
    except (TypeError, ValueError):
        return None
    texts = (owner.machine, owner.boot, owner.space, owner.started)
    whole = type(owner.pid) is int and all(isinstance(value, str) for value in texts)
    return owner if whole else None


def _started(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat; "" if there is no such process, None if that is unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else None
    except ProcessLookupError:
        return ""
    except OSError:
        return None
    # The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
    return text.rpartition(")")[2].split()[19]


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
