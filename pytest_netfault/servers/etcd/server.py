"""A real etcd for tests, and the log of what it committed.

`EtcdServer` owns one etcd process: it starts it from a binary on ports and in a directory of its own, can
freeze, kill and restart it, and leaves nothing behind. `AttachedEtcd` reads one that someone else runs.
Both give the store's revision and its whole log, read over etcd's own address and never through a link.

What is opened is released in reverse order, also when a start fails half way, and every wait has a limit.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_netfault.servers.base import ServerProcess
from pytest_netfault.servers.errors import ServerError, ServerUnreachable
from pytest_netfault.servers.etcd.collector import Collector
from pytest_netfault.servers.etcd.flags import clean_environment, flags_for
from pytest_netfault.servers.etcd.gateway import CALL_SECONDS, Gateway
from pytest_netfault.servers.etcd.log import LogRevision
from pytest_netfault.servers.ports import ReservedPort
from pytest_netfault.servers.scratch import ScratchDirectory

__all__ = ["COMPACTION_KEY", "AttachedEtcd", "Etcd", "EtcdServer", "parse_address", "single_member_flags"]

# Sorts before every key that begins with a printable character, so it lies in no name space that a test
# watches.
COMPACTION_KEY = b"\0netfault-compaction"

# Consensus among one member needs no patience: with etcd's defaults (100 and 1000) each start takes about a
# second until it elects itself, with these it takes a twentieth of that.
_HEARTBEAT_MILLISECONDS = 10
_ELECTION_MILLISECONDS = 100

_START_ATTEMPTS = 3


class Etcd:
    """What every etcd for tests offers, however it runs.

    Attributes:
        host: the IP address or name that it listens on.
        port: the client port.
    """

    host: str
    port: int

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._collector: Collector | None = None
        self._version = ""

    @property
    def address(self) -> str:
        """Where clients connect: ``"127.0.0.1:2379"``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def version(self) -> str:
        """The version of etcd, such as ``"3.5.1"``."""
        return self._version

    def revision(self, *, timeout: float = CALL_SECONDS) -> int:
        """The store's revision; every write acknowledged before the call is at or below it.

        Raises:
            ServerUnreachable: no answer within ``timeout`` seconds.
            ServerError: the store shows less than it had shown before, or this server is closed.
        """
        return self._log_of_it().current(timeout=timeout)

    def log(self, after_revision: int, *, timeout: float = CALL_SECONDS) -> list[LogRevision]:
        """Every transaction after ``after_revision`` up to at least the store's revision at the call.

        It is kept from the start of this object on, so it is whole even if the store was compacted meanwhile.

        Raises:
            ValueError: ``after_revision`` lies before the start of the log.
            ServerUnreachable: the store did not tell its revision within ``timeout`` seconds.
            ServerError: part of the log is lost for ever, did not come within ``timeout`` seconds, or this
                server is closed.
        """
        collector = self._log_of_it()
        return collector.read(after_revision, collector.current(timeout=timeout), timeout=timeout)

    def _compact(self) -> int:
        """Make the store forget everything before now; return the revision that it was compacted at.

        A key outside every name space is written first, and the store compacted at the revision of that
        write: etcd up to 3.5.17 does not show a delete at exactly the compacted revision to a watch that
        starts there (etcd issues 18089 and 19179), and no client can help that. The log is read up to there
        before.

        Raises:
            ServerUnreachable: etcd did not answer in time.
            ServerError: the log could not be read up to there, or this server is closed.
        """
        collector = self._log_of_it()
        revision = self._gateway.put(COMPACTION_KEY, b"")
        collector.wait_for(revision)
        self._gateway.compact(revision)
        return revision

    @property
    def _gateway(self) -> Gateway:
        return Gateway(self.host, self.port)

    def _log_of_it(self) -> Collector:
        self._check_owner()
        if self._collector is None:
            raise ServerError(f"{self!r} is not started, or closed")
        return self._collector

    def _check_owner(self) -> None:
        if self._owner != os.getpid():
            raise ServerError(
                f"{self!r} belongs to process {self._owner}: a forked child can only use its address"
            )

    def _begin_log(self, after_revision: int, *, members: Sequence[Gateway] = ()) -> None:
        self._version = self._gateway.version()
        self._collector = Collector(self._gateway, after_revision, members=members)

    def _end_log(self) -> None:
        if self._collector is not None:
            self._collector.close()
            self._collector = None


class AttachedEtcd(Etcd):
    """An etcd that someone else runs, without TLS and without users. It is read, never harmed.

    It has no ``restart``, ``pause`` or ``kill``. ``compact`` exists only if asked for, because it takes the
    history away from everybody else who uses that store.

    Args:
        address: ``"host:port"`` of its client address.
        compact: whether the store may be compacted; then the object has a method ``compact() -> int``.
        timeout: how long etcd may take to answer now, in seconds.

    Raises:
        ValueError: the address is not one.
        ServerUnreachable: no etcd answers there.
    """

    compact: Callable[[], int]

    def __init__(self, address: str, *, compact: bool = False, timeout: float = 5.0) -> None:
        super().__init__()
        self.host, self.port = parse_address(address)
        self._version = self._gateway.version(timeout=timeout)
        self._begin_log(self._gateway.revision(timeout=timeout))
        if compact:
            self.compact = self._compact

    def close(self) -> None:
        """Stop reading its log. Idempotent."""
        if self._owner == os.getpid():
            self._end_log()

    def __enter__(self) -> AttachedEtcd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"etcd-{self.port}"


class EtcdServer(Etcd):
    """One etcd process with an empty store, ours from start to end; a context manager that starts it.

        with EtcdServer("/usr/bin/etcd") as etcd:
            client = connect(etcd.address)

    It listens on 127.0.0.1 only. It dies with this process, however that ends, and what it had on disk is
    removed then or by the next one that starts. Its data is not synced to the disk: that makes it fast,
    survives a restart of etcd and need not survive one of the machine.

    Args:
        binary: the program; a script must ``exec`` etcd, or it is not ended by a ``kill -9`` of this process.
        flags: more command line flags for etcd, such as ``["--auth-token-ttl=5"]``.
        start_timeout: how long a start may take, in seconds.
    """

    def __init__(
        self, binary: str | os.PathLike[str], *, flags: Sequence[str] = (), start_timeout: float = 30.0
    ) -> None:
        super().__init__()
        if isinstance(flags, (str, bytes)):
            raise TypeError(f"flags must be a list of strings, not {flags!r}")
        self.host, self.port = "127.0.0.1", 0
        self._binary = Path(binary).absolute()
        self._flags = tuple(flags)
        self._start_timeout = start_timeout
        self._directory: ScratchDirectory | None = None
        self._ports: list[ReservedPort] = []
        self._process: ServerProcess | None = None

    @property
    def pid(self) -> int | None:
        """The number of etcd's process; None while it is down."""
        return None if self._process is None else self._process.pid

    def start(self) -> EtcdServer:
        """Start it, or start it again after `kill` with the same address and data; return it once it serves.

        One that runs is left as it is, frozen or not.

        Raises:
            ServerError: it cannot be run, ended at once, or did not serve in time; the message ends with the
                last lines that it printed.
        """
        self._check_owner()
        if self.pid is not None:
            return self
        if self._collector is not None and self._process is not None:
            self._process.spawn()
            self._process.wait_until_it_serves()
            self._collector.wake()
            return self
        atexit.register(self.close)
        try:
            for attempt in range(1, _START_ATTEMPTS + 1):
                process = self._prepare()
                try:
                    process.spawn()
                    process.wait_until_it_serves()
                    break
                except ServerError as error:
                    # Only a program that asks for our very number can take it; then other numbers will do.
                    if attempt == _START_ATTEMPTS or "address already in use" not in str(error):
                        raise
                    self._release()
            self._begin_log(after_revision=1)
        except BaseException:
            self.close()
            raise
        return self

    def kill(self) -> None:
        """End it with SIGKILL, whatever it is doing; its address and data stay reserved for `start`.

        Idempotent. An etcd before 3.5.5 may lose what it acknowledged in the very last moment, which
        `restart` avoids.

        Raises:
            ServerError: called in a forked child.
        """
        self._check_owner()
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Kill it with SIGKILL and start it again with the same address and data; return once it serves.

        Everything acknowledged before the call is there afterwards. Before the kill the store is read once
        for that: a lone etcd before 3.5.5 acknowledges a write a moment before it is in its log (etcd issue
        14370), but answers the next linearizable read only after. A frozen etcd is killed as it is.

        Raises:
            ServerError: as from `start`.
        """
        self._check_owner()
        if self._process is not None and self._process.pid is not None and not self._process.paused:
            try:
                self.revision(timeout=1.0)
            except ServerUnreachable:
                pass  # stuck: nothing was acknowledged lately
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing is answered. In force on return."""
        self._check_owner()
        self._started().pause(repr(self))

    def resume(self) -> None:
        """Let it go on after `pause`. Idempotent."""
        self._check_owner()
        self._started().resume(repr(self))

    def compact(self) -> int:
        return self._compact()

    compact.__doc__ = Etcd._compact.__doc__

    def another(self) -> EtcdServer:
        """Start one more like this one, empty, which whoever asked for it closes.

        Raises:
            ServerError: as from `start`.
        """
        return EtcdServer(self._binary, flags=self._flags, start_timeout=self._start_timeout).start()

    def output(self, lines: int = 30) -> str:
        """The last ``lines`` lines that etcd printed, to show when something failed; "" after `close`."""
        return "" if self._process is None else self._process.output(lines)

    def close(self) -> None:
        """End it and remove all that it had. Quick and idempotent; a forked child's call does nothing."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.close)
        self._end_log()
        self._release()

    def __enter__(self) -> EtcdServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"etcd-{self.port}" if self.port else "etcd"

    def _prepare(self) -> ServerProcess:
        self._directory = ScratchDirectory("etcd")
        self._ports = [ReservedPort(self.host)]
        self._ports.append(ReservedPort(self.host))
        self.port, peer = (port.number for port in self._ports)
        client = f"http://{self.address}"
        flags = single_member_flags(client, client, f"http://{self.host}:{peer}", "data")
        self._process = ServerProcess(
            [str(self._binary), *flags, *self._flags],
            folder=self._directory.path,
            ready=lambda: self._gateway.revision(timeout=1.0),
            environment=clean_environment(),
            start_timeout=self._start_timeout,
        )
        return self._process

    def _release(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
        for port in reversed(self._ports):
            port.close()
        self._ports = []
        if self._directory is not None:
            self._directory.close()
            self._directory = None

    def _started(self) -> ServerProcess:
        if self._process is None:
            raise ServerError(f"{self!r} is not running")
        return self._process


def single_member_flags(listen: str, client: str, peer: str, data: str) -> list[str]:
    """The command line of an etcd that is a cluster of one.

    Args:
        listen: the URL that it listens on for clients.
        client: the URL by which clients know it.
        peer: the URL for other members; nobody calls it.
        data: its directory.
    """
    return flags_for(
        name="netfault",
        data=data,
        listen=listen,
        client=client,
        peers={"netfault": peer},
        heartbeat_milliseconds=_HEARTBEAT_MILLISECONDS,
        election_milliseconds=_ELECTION_MILLISECONDS,
    )


def parse_address(address: str) -> tuple[str, int]:
    """Read ``"host:port"`` or ``"[IPv6]:port"``.

    >>> parse_address("127.0.0.1:2379"), parse_address("[::1]:2379")
    (('127.0.0.1', 2379), ('::1', 2379))

    Raises:
        ValueError: it is neither, naming the text and what would be valid.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    valid = colon and host and not set("/@[] ") & set(host) and (":" in host) == bracketed
    if not valid or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(
            f"{address!r} is not an address: write host:port, such as 127.0.0.1:2379 or [::1]:2379"
        )
    return host, int(port)
