"""The arguments of a proof, checked at the call.

Bad input is refused before anything is opened, and the message names the argument, its value and what would be valid.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pytest_netfault.checks.trace import Promise
from pytest_netfault.common.files import why_no_folder
from pytest_netfault.common.printable import represented
from pytest_netfault.common.system import cores
from pytest_netfault.faults import CutHow
from pytest_netfault.faults.arguments import count
from pytest_netfault.proof import host
from pytest_netfault.proof.about import NOTHING_KNOWN, About, about
from pytest_netfault.proof.contract import Timeouts
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline
from pytest_netfault.proof.progress import progress_of_session
from pytest_netfault.proof.results import ProgressCallback
from pytest_netfault.proof.shards import WHOLE, Shard, chosen_shard

__all__ = [
    "SEED_VARIABLE",
    "Settings",
    "check_directory",
    "check_how",
    "check_notice",
    "check_promise",
    "check_seconds",
    "check_server",
    "check_store",
    "default_lanes",
    "pick_seed",
    "settings_of",
]

# Takes precedence over the session's seed: a proof in a process that a test starts can use the seed of the test.
SEED_VARIABLE = "NETFAULT_SEED"
_SEED_DIGITS = 20
# A play takes about a quarter of a core where client and server run on this machine, or less.
_LANES_PER_CORE = 4
_MOST_LANES = 16
# There is a worker for each core, as a rule.
_LANES_OF_A_WORKER = 2


@dataclass(frozen=True)
class Settings:
    """What all parts of one proof share, checked.

    Attributes:
        promise: what the subscriber was promised.
        settle: seconds without progress after which what is missing is lost.
        notice: seconds in which the client must notice a dead flow; None for no such schedules.
        seed: of every choice.
        deadline: at which the proof must be over.
        shard: which part of the proof this is; None for the whole.
        report_dir: where the files of a loss go; None for nowhere.
        shard_dir: where the file of this part goes; None for nowhere.
        progress: called after each play, or None.
        lanes: how many schedules are played side by side.
        about: the test, the client and the server, for the report of a loss.
    """

    promise: Promise = "every-event"
    settle: float = 5.0
    notice: float | None = None
    seed: int = 0
    deadline: Deadline = NO_DEADLINE
    shard: Shard | None = None
    report_dir: Path | None = None
    shard_dir: Path | None = None
    progress: ProgressCallback | None = None
    lanes: int = 1
    about: About = NOTHING_KNOWN

    @property
    def part(self) -> Shard:
        """Which part of the proof this is."""
        return self.shard or WHOLE

    @property
    def timeouts(self) -> Timeouts:
        """How long a run waits for what."""
        return Timeouts(settle=self.settle, notice=self.notice)


def settings_of(
    open_store: object,
    server: object,
    *,
    promise: Promise,
    settle: float,
    notice: float | None,
    seed: int | None,
    report_dir: str | os.PathLike[str] | None,
    max_seconds: float | None = None,
    shard: str | None = None,
    progress: ProgressCallback | None = None,
    lanes: int | None = 1,
    executor: object = None,
) -> Settings:
    """Check the arguments that every proof has; the clock of ``max_seconds`` begins here.

    Raises:
        TypeError, ValueError: one of them is wrong.
    """
    check_store(open_store)
    if executor is None:
        check_server(server)
    else:
        check_executor(executor, server)
    check_promise(promise)
    if max_seconds is not None:
        check_seconds("max_seconds", max_seconds)
    check_seconds("settle", settle)
    check_notice(notice)
    if lanes is not None:
        count("lanes", lanes, least=1)
    directory = check_directory(report_dir)
    part = None if shard is None else chosen_shard(shard)
    return Settings(
        promise=promise,
        settle=settle,
        notice=notice,
        seed=pick_seed(seed),
        deadline=NO_DEADLINE if max_seconds is None else Deadline(time.monotonic() + max_seconds),
        shard=part,
        report_dir=directory,
        shard_dir=None if part is None or report_dir is None else directory,
        progress=progress_of_session() if progress is None else progress,
        lanes=lanes or (default_lanes() if executor is None else _LANES_OF_A_WORKER),
        about=about(open_store, server),
    )


def default_lanes() -> int:
    """How many schedules this machine plays well side by side: a play mostly waits."""
    return min(_LANES_PER_CORE * cores(), _MOST_LANES)


def check_store(open_store: object) -> None:
    if not callable(open_store):
        raise TypeError(
            f"open_store must be a function that takes an address and returns a Store, not {open_store!r}"
        )


def check_server(server: object) -> None:
    if not hasattr(server, "address"):
        raise TypeError(
            f"server must be an object with an address, such as the fixture etcd_server or "
            f"types.SimpleNamespace(address='127.0.0.1:6379'), not {server!r}"
        )
    missing = [name for name in ("revision", "log") if not hasattr(server, name)]
    if len(missing) == 1:
        there = "log(after_revision)" if missing == ["revision"] else "revision()"
        raise TypeError(
            f"server must have both revision() and log(after_revision) or, if it keeps no log, neither; {server!r} has "
            f"{there} and no {missing[0]}"
        )
    read: object = getattr(server, "read", None)
    if missing and read is not None and not callable(read):
        raise TypeError(
            f"server.read must be a function of a prefix that returns the keys with their values, not {read!r}"
        )
    address: Any = getattr(server, "address", None)
    if not isinstance(address, str):
        raise TypeError(f"server.address must be a string such as '127.0.0.1:2379', not {address!r}")


def check_executor(executor: object, server: object) -> None:
    if not isinstance(executor, Executor) and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor, not {executor!r}")
    if not callable(server) or hasattr(server, "address"):
        raise TypeError(
            f"with executor=, server must be a function that gives a context manager of a server, such as "
            f"functools.partial(EtcdServer, '/usr/bin/etcd'), because each worker has one of its own; not {server!r}"
        )


def check_promise(promise: object) -> None:
    names = get_args(Promise)
    if promise not in names:
        raise ValueError(f"promise must be {' or '.join(map(repr, names))}, not {promise!r}")


def check_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be more than 0 seconds and finite, not {value!r}")


def check_notice(value: object) -> None:
    if value is not None:
        check_seconds("notice", value)


def check_how(how: object) -> tuple[CutHow, ...]:
    known: tuple[CutHow, ...] = get_args(CutHow)
    if isinstance(how, str) or not isinstance(how, Iterable):
        raise TypeError(f"how must be a list such as ('fin', 'rst'), not {how!r}")
    chosen = tuple(how)
    for one in chosen:
        if one not in known:
            raise ValueError(f"how must hold {', '.join(map(repr, known))}, not {one!r}")
    if not chosen:
        raise ValueError(f"how must hold at least one of {', '.join(map(repr, known))}")
    return tuple(dict.fromkeys(chosen))


def check_directory(report_dir: object) -> Path | None:
    """Where the files of a loss go: where it was said, else where the session around it keeps such files."""
    if report_dir is None:
        session = host.current()
        return None if session is None else session.folder()
    if not isinstance(report_dir, (str, os.PathLike)):
        raise TypeError(f"report_dir must be a path, not {report_dir!r}")
    path = Path(report_dir)
    reason = why_no_folder(path)
    if reason == "it is a file":
        raise ValueError(f"report_dir must be a directory, and {str(path)!r} is not one")
    if reason:
        raise ValueError(f"report_dir {represented(str(path))} cannot be used: {reason}")
    return path


def pick_seed(seed: object) -> int:
    """The seed that was asked for, else that of the environment, that of the session, or a new one.

    >>> pick_seed(7)
    7
    """
    if seed is None:
        text = os.environ.get(SEED_VARIABLE, "")
        if text:
            if not (text.isascii() and text.isdigit() and len(text) <= _SEED_DIGITS):
                raise ValueError(
                    f"{SEED_VARIABLE} must be a whole number of at most {_SEED_DIGITS} digits, not "
                    f"{represented(text, limit=60)}"
                )
            return int(text)
        session = host.current()
        return secrets.randbits(32) if session is None else session.seed
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number or None, not {seed!r}")
    return seed
