"""Three etcds that keep one store, and whose peer traffic goes through links.

etcd tells each member one address of every other, the same for all, so a link in front of a member could not know
who calls. Here that address is a Unix socket with a *relative* path, and each member has a working directory of
its own: what ``m2`` means is a different file for ``m1`` than for ``m3``, and behind each is a link of its own. So
each of the six directions in which a member can call another is broken by itself.

    m1/            m2/            m3/
      m1:1  serves   m2:1  serves   m3:1  serves
      m2:1  -link->  m1:1  -link->  m1:1  -link->
      m3:1  -link->  m3:1  -link->  m2:1  -link->

Messages from m1 to m2 travel over connections that m1 opened and over streams that m2 opened, so two members are
partitioned only when both links between them are broken; `EtcdCluster.partition` does that.

The function that makes links is an argument: nothing here knows the proxy. What is opened is released in reverse order:
members, links, ports, directory.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, Protocol

from pytest_netfault.servers.base import ServerProcess
from pytest_netfault.servers.errors import ServerError, ServerUnreachable
from pytest_netfault.servers.etcd.flags import clean_environment, flags_for
from pytest_netfault.servers.etcd.gateway import CALL_SECONDS, Gateway
from pytest_netfault.servers.etcd.server import Etcd
from pytest_netfault.servers.peers import members_are_gone, members_talk_below
from pytest_netfault.servers.ports import ReservedPort
from pytest_netfault.servers.scratch import ScratchDirectory

__all__ = ["EtcdCluster", "EtcdMember", "Forward", "Partition"]

_NAMES = ("m1", "m2", "m3")

# Half of etcd's own: a lost leader is replaced in about a second, and a busy machine does not lose one by itself.
_HEARTBEAT_MILLISECONDS = 50
_ELECTION_MILLISECONDS = 500

# A member without quorum does not answer at all; then the next one is asked.
_MEMBER_SECONDS = 1.0
_POLL_SECONDS = 0.01


class Forward(Protocol):
    """What makes a link, as ``NetFault.forward`` does; what it returns has a method ``close()``."""

    def __call__(self, upstream: str, /, *, listen: str, name: str) -> Any:
        """Listen at ``listen`` and forward to ``upstream``, both ``"unix:/path"``."""


class EtcdMember:
    """One member of a cluster.

    Attributes:
        name: ``"m1"``, ``"m2"`` or ``"m3"``.
        host: the IP address that it listens on for clients.
        port: the client port.
    """

    def __init__(self, name: str, process: ServerProcess, gateway: Gateway) -> None:
        self.name = name
        self.host, self.port = gateway.host, gateway.port
        self._process = process
        self._gateway = gateway

    @property
    def address(self) -> str:
        """Where clients connect: ``"127.0.0.1:2379"``."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The number of its process; None while it is down."""
        return self._process.pid

    def revision(self, *, timeout: float = CALL_SECONDS) -> int:
        """The store's revision as this member tells it, linearizably: only with a majority behind it.

        Raises:
            ServerUnreachable: no answer within ``timeout`` seconds.
        """
        return _AnyMember([self._gateway]).revision(timeout=timeout)

    def start(self, *, wait: bool = True) -> None:
        """Start it again after `kill`, with the same addresses and data. Nothing is done to one that runs.

        Args:
            wait: return only once it serves. It does so only when it can talk to another member that runs.

        Raises:
            ServerError: it ended at once, or does not serve in time.
        """
        self._process.spawn()
        if wait:
            self._process.wait_until_it_serves()

    def kill(self) -> None:
        """End it with SIGKILL; its addresses and data stay for `start`. Idempotent."""
        self._process.kill()

    def restart(self, *, wait: bool = True) -> None:
        """`kill` and `start`."""
        self.kill()
        self.start(wait=wait)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing is answered. In force on return."""
        self._process.pause(self.name)

    def resume(self) -> None:
        """Let it go on after `pause`. Idempotent."""
        self._process.resume(self.name)

    def output(self, lines: int = 30) -> str:
        """The last ``lines`` lines that it printed."""
        return self._process.output(lines)

    def __repr__(self) -> str:
        return self.name


class Partition:
    """Members that cannot talk to each other; a context manager that heals when its block ends."""

    def __init__(self, faults: ExitStack, name: str) -> None:
        self._faults = faults
        self._name = name

    def heal(self) -> None:
        """End the partition. Idempotent."""
        self._faults.close()

    def __enter__(self) -> Partition:
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()

    def __repr__(self) -> str:
        return self._name


class EtcdCluster(Etcd):
    """Three members with one empty store, ours from start to end; a context manager that starts them.

        with NetFault() as net, EtcdCluster("/usr/bin/etcd", net.forward) as cluster:
            with cluster.partition([cluster.leader()], ...):

    `revision`, `log` and `compact` speak for the store as a whole: any member that has a majority answers, and the
    log is read from all at once. `address` is the first member's; a client of the cluster is given `addresses`.

    Args:
        binary: the program.
        forward: what makes the links between the members, such as ``NetFault.forward``.
        flags: more command line flags for each member.
        start_timeout: how long a start may take, in seconds.

    Attributes:
        members: by name, ``"m1"`` to ``"m3"``.
        links: by who calls and who is called: ``links["m1", "m2"]`` carries the connections that m1 opens to m2.
    """

    members: Mapping[str, EtcdMember]
    links: Mapping[tuple[str, str], Any]

    def __init__(
        self,
        binary: str | os.PathLike[str],
        forward: Forward,
        *,
        flags: Sequence[str] = (),
        start_timeout: float = 30.0,
    ) -> None:
        super().__init__()
        if isinstance(flags, (str, bytes)):
            raise TypeError(f"flags must be a list of strings, not {flags!r}")
        self.host, self.port = "127.0.0.1", 0
        self.members, self.links = {}, {}
        self._binary = Path(binary).absolute()
        self._forward = forward
        self._flags = tuple(flags)
        self._start_timeout = start_timeout
        self._opened = ExitStack()

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, member by member."""
        return [member.address for member in self.members.values()]

    def start(self) -> EtcdCluster:
        """Start all members; return once each of them serves. Nothing is done to a cluster that was started.

        Raises:
            ServerError: a member cannot be run, ended at once, or did not serve in time; the message ends with
                the last lines that it printed.
        """
        self._check_owner()
        if self.members:
            return self
        atexit.register(self.close)
        try:
            folder = self._opened.enter_context(ScratchDirectory("cluster")).path
            members_talk_below(folder)
            self._opened.callback(members_are_gone, folder)
            for name in _NAMES:
                (folder / name).mkdir()
            processes = self._prepare(folder)
            self.links = {
                (caller, called): self._link(folder, caller, called)
                for caller, called in permutations(_NAMES, 2)
            }
            for process in processes:
                self._opened.callback(process.kill)
                process.spawn()
            for process in processes:
                process.wait_until_it_serves()
            self._begin_log(1, members=[member._gateway for member in self.members.values()])
        except BaseException:
            self.close()
            raise
        return self

    def leader(self, *, timeout: float = CALL_SECONDS) -> str:
        """The name of the member that leads a majority now.

        Raises:
            ServerError: the cluster is not started, or closed.
            ServerUnreachable: no leader is known within ``timeout`` seconds.
        """
        self._log_of_it()
        deadline = time.monotonic() + timeout
        while True:
            found: list[tuple[int, EtcdMember]] = []
            for member in self.members.values():
                try:
                    status = member._gateway.call("/v3/maintenance/status", {}, timeout=_MEMBER_SECONDS)
                except ServerUnreachable:
                    continue
                if status.get("leader") == status["header"].get("member_id"):
                    found.append((int(status.get("raftTerm", 0)), member))
            # One that was cut off still takes itself for the leader; only one with a majority answers a read.
            for _, member in sorted(found, key=lambda entry: entry[0], reverse=True):
                try:
                    member._gateway.revision(timeout=_MEMBER_SECONDS)
                except ServerUnreachable:
                    continue
                return member.name
            if time.monotonic() > deadline:
                raise ServerUnreachable(f"no member of {self!r} led a majority within {timeout:g} s")
            time.sleep(_POLL_SECONDS)

    def links_between(self, *groups: Iterable[str]) -> list[Any]:
        """Every link from a member of one group to a member of another.

        Args:
            groups: names of members; one that is in no group is left alone.

        Raises:
            ValueError: fewer than two groups, a name that is no member's, or one in two groups.
        """
        sets = [{group} if isinstance(group, str) else set(group) for group in groups]
        named = [name for members in sets for name in members]
        if len(sets) < 2:
            raise ValueError(f"a partition needs at least two groups of members, not {len(sets)}")
        for name in named:
            if name not in _NAMES:
                raise ValueError(f"{name!r} is no member: the members are {', '.join(_NAMES)}")
            if named.count(name) > 1:
                raise ValueError(f"{name!r} is in two groups at once")
        side = {name: number for number, members in enumerate(sets) for name in members}
        return [
            link
            for (caller, called), link in self.links.items()
            if caller in side and called in side and side[caller] != side[called]
        ]

    def partition(
        self, *groups: Iterable[str], fault: Callable[[Any], Any] = lambda link: link.blackhole()
    ) -> Partition:
        """Part groups of members: what a member says does not reach those of other groups. In force on return.

        Args:
            groups: names of members, as ``partition(["m1"], ["m2", "m3"])``; one in no group is left alone.
            fault: what is done to each link between them; its result has a method ``heal()``.

        Raises:
            ValueError: as from `links_between`.
        """
        with ExitStack() as faults:
            for link in self.links_between(*groups):
                faults.callback(fault(link).heal)
            sides = "|".join(
                "+".join([group] if isinstance(group, str) else sorted(group)) for group in groups
            )
            return Partition(faults.pop_all(), sides)

    def compact(self) -> int:
        return self._compact()

    compact.__doc__ = Etcd._compact.__doc__

    def output(self, lines: int = 30) -> str:
        """The last ``lines`` lines that each member printed; "" after `close`."""
        return "\n".join(f"{member}:\n{member.output(lines)}" for member in self.members.values())

    def close(self) -> None:
        """End all members and links and remove what they had. Idempotent; a forked child's does nothing."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.close)
        self._end_log()
        self.members, self.links = {}, {}
        self._opened.close()

    def __enter__(self) -> EtcdCluster:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"etcd-cluster-{self.port}" if self.port else "etcd-cluster"

    @property
    def _gateway(self) -> Gateway:
        return _AnyMember([member._gateway for member in self.members.values()])

    def _prepare(self, folder: Path) -> list[ServerProcess]:
        members, processes = {}, []
        for name in _NAMES:
            port = self._opened.enter_context(ReservedPort(self.host)).number
            client = f"http://{self.host}:{port}"
            flags = flags_for(
                name=name,
                data="data",
                listen=client,
                client=client,
                peers={member: f"unix://{member}:1" for member in _NAMES},
                heartbeat_milliseconds=_HEARTBEAT_MILLISECONDS,
                election_milliseconds=_ELECTION_MILLISECONDS,
            )
            gateway = Gateway(self.host, port)
            processes.append(
                ServerProcess(
                    [str(self._binary), *flags, *self._flags],
                    folder=folder / name,
                    ready=partial(gateway.revision, timeout=_MEMBER_SECONDS),
                    environment=clean_environment(),
                    start_timeout=self._start_timeout,
                )
            )
            members[name] = EtcdMember(name, processes[-1], gateway)
        self.members = members
        self.port = members[_NAMES[0]].port
        return processes

    def _link(self, folder: Path, caller: str, called: str) -> Any:
        link = self._forward(
            f"unix:{folder / called / called}:1",
            listen=f"unix:{folder / caller / called}:1",
            name=f"{caller}-{called}",
        )
        self._opened.callback(link.close)
        return link


class _AnyMember(Gateway):
    """The store as any member with a majority tells it: each is asked in turn until the time is over."""

    def __init__(self, members: Sequence[Gateway]) -> None:
        super().__init__(members[0].host if members else "127.0.0.1", members[0].port if members else 0)
        self._members = members

    def call(
        self, path: str, body: Mapping[str, Any] | None, *, timeout: float = CALL_SECONDS
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        failures: dict[str, None] = {}
        while self._members:
            for member in self._members:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise ServerUnreachable(
                        "; ".join(failures) or f"no member was asked within {timeout:g} s"
                    )
                try:
                    return member.call(path, body, timeout=min(_MEMBER_SECONDS, remaining))
                except ServerUnreachable as error:
                    failures[str(error)] = None
            time.sleep(_POLL_SECONDS)  # all may refuse at once, while an election is held
        raise ServerError("the cluster is not started, or closed")
