"""The process of one etcd: its command line, its start, and what it printed.

Rules of this file: it owns a process and nothing else; where it lives and listens is its owner's business.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_netfault.servers.errors import ServerError, ServerUnreachable
from pytest_netfault.servers.gateway import Gateway
from pytest_netfault.servers.process import OwnedProcess

__all__ = ["EtcdProcess", "flags_for"]

_POLL_SECONDS = 0.01


class EtcdProcess:
    """One etcd, down until it is spawned, and any number of times up and down again.

    Args:
        command: the program and its arguments.
        folder: its working directory; what it prints goes to a file there.
        gateway: where it answers.
        start_timeout: how long a start may take, in seconds.
    """

    def __init__(
        self, command: Sequence[str], *, folder: Path, gateway: Gateway, start_timeout: float
    ) -> None:
        self._command = tuple(command)
        self._folder = folder
        self._gateway = gateway
        self._start_timeout = start_timeout
        self._process: OwnedProcess | None = None
        self.paused = False

    @property
    def pid(self) -> int | None:
        """Its process number; None while it is down."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    def spawn(self) -> None:
        """Start it, unless it is up; it may not serve yet."""
        if self.pid is None:
            self.paused = False
            self._process = OwnedProcess(
                self._command,
                output=self._folder / "output.txt",
                environment=_environment(),
                folder=self._folder,
            )

    def wait_until_it_serves(self) -> None:
        """Return once it has answered a linearizable read.

        Raises:
            ServerError: it ended, or did not serve in time; the message ends with the last lines it printed.
        """
        assert self._process is not None
        deadline = time.monotonic() + self._start_timeout
        reason = "it was not asked yet"
        while not self._process.wait(_POLL_SECONDS):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise ServerError(
                    f"{self._command[0]} did not serve within {self._start_timeout:g} s ({reason}); "
                    f"{self._last_words()}"
                )
            try:
                self._gateway.revision(timeout=min(remaining, 1.0))
                return
            except ServerUnreachable as error:
                reason = str(error)
        raise ServerError(
            f"{self._command[0]} ended with exit code {self._process.returncode} before it served; "
            f"{self._last_words()}"
        )

    def kill(self) -> None:
        """End it with SIGKILL; it is gone on return. Twice is fine."""
        if self._process is not None:
            self._process.kill()

    def pause(self, name: str) -> None:
        """Freeze it; ``name`` is what an error calls it."""
        self._running(name).pause()
        self.paused = True

    def resume(self, name: str) -> None:
        """Let it go on; ``name`` is what an error calls it."""
        self._running(name).resume()
        self.paused = False

    def output(self, lines: int) -> str:
        """The last ``lines`` lines that it printed."""
        try:
            text = (self._folder / "output.txt").read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _running(self, name: str) -> OwnedProcess:
        if self._process is None or self.pid is None:
            raise ServerError(f"{name} is not running")
        return self._process

    def _last_words(self) -> str:
        printed = self.output(30)
        return f"the last that it printed:\n{printed}" if printed else "it printed nothing"


def flags_for(
    *,
    name: str,
    data: str,
    listen: str,
    client: str,
    peers: Mapping[str, str],
    heartbeat_milliseconds: int,
    election_milliseconds: int,
) -> list[str]:
    """The command line of one member of a new cluster.

    Args:
        name: the member's name.
        data: its directory.
        listen: the URL that it listens on for clients.
        client: the URL by which clients know it.
        peers: of each member, by name, the URL for the others.
        heartbeat_milliseconds: how often a leader is heard of.
        election_milliseconds: after which silence another is elected.

    >>> flags = flags_for(name="a", data="d", listen="http://127.0.0.1:1", client="http://127.0.0.1:1",
    ...     peers={"a": "http://127.0.0.1:2"}, heartbeat_milliseconds=10, election_milliseconds=100)
    >>> flags[:3]
    ['--name=a', '--data-dir=d', '--listen-client-urls=http://127.0.0.1:1']
    """
    flags = {
        "name": name,
        "data-dir": data,
        "listen-client-urls": listen,
        "advertise-client-urls": client,
        "listen-peer-urls": peers[name],
        "initial-advertise-peer-urls": peers[name],
        "initial-cluster": ",".join(f"{member}={url}" for member, url in peers.items()),
        "heartbeat-interval": str(heartbeat_milliseconds),
        "election-timeout": str(election_milliseconds),
        "logger": "zap",
        "log-outputs": "stderr",
        "unsafe-no-fsync": "true",
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def _environment() -> dict[str, str]:
    """Ours without etcd's own variables: those would be taken for flags, and a conflict ends it at once."""
    keep = {"ETCD_UNSUPPORTED_ARCH"}
    return {name: value for name, value in os.environ.items() if name in keep or not name.startswith("ETCD_")}
