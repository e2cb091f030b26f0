"""A real etcd for tests from a Docker image, with the guarantees of `EtcdServer`.

A container is not our child, so the kernel cannot end it with us. Each one therefore carries a label that
says who owns it, and before one is started those are removed whose owner is certainly dead. After Ctrl-C it is
removed like everything else.

Where the engine has its ordinary bridge network, the client port is published on 127.0.0.1; an engine that
runs without one is asked for the host's network. Either way the port's number stays ours from start to end.

The ``docker`` package is imported only when a container is needed. Images are never downloaded: nobody expects a test
to fetch hundreds of megabytes, so a missing image is an error with the command to run. Docker's own message is part of
that error.
"""

from __future__ import annotations

import atexit
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from pytest_netfault.servers.errors import ServerError, ServerUnreachable
from pytest_netfault.servers.etcd.server import Etcd, single_member_flags
from pytest_netfault.servers.owner import read_owner, this_process
from pytest_netfault.servers.ports import ReservedPort

__all__ = ["OWNER_LABEL", "EtcdContainer", "newest_image", "program_of", "sweep_containers"]

OWNER_LABEL = "pytest-netfault.owner"
_ID_LABEL = "pytest-netfault.id"

_CLIENT_PORT = 2379  # inside a container of its own, where nothing else listens
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_START_ATTEMPTS = 3
_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 0.2  # the engine's proxy takes connections before etcd is there, and may leave them hanging
_ENGINE_SECONDS = 60  # for one call to the engine; creating a first container on a slow disk takes a while


class EtcdContainer(Etcd):
    """One etcd in a container with an empty store, ours from start to end; a context manager that starts it.

        with EtcdContainer("local/etcd:3.7.3") as etcd:
            client = connect(etcd.address)

    It can be reached through 127.0.0.1 only, so the engine must run on this machine.

    Args:
        image: the image's name; None for the newest etcd image that the engine has.
        flags: more command line flags for etcd.
        start_timeout: how long a start may take, in seconds.
    """

    def __init__(
        self, image: str | None = None, *, flags: Sequence[str] = (), start_timeout: float = 60.0
    ) -> None:
        super().__init__()
        if isinstance(flags, (str, bytes)):
            raise TypeError(f"flags must be a list of strings, not {flags!r}")
        self.host, self.port = "127.0.0.1", 0
        self._image = image
        self._flags = tuple(flags)
        self._start_timeout = start_timeout
        self._ports: list[ReservedPort] = []
        self._engine: Any = None
        self._container: Any = None
        self._paused = False
        self._id = uuid.uuid4().hex

    def start(self) -> EtcdContainer:
        """Start it, or start it again after `kill` with the same address and data; return it once it serves.

        One that runs is left as it is, frozen or not.

        Raises:
            ServerError: the package is missing, no engine answers or may be used, it lacks the image, or
            etcd did
                not serve in time; then the message ends with the last lines that etcd printed.
        """
        self._check_owner()
        if self._collector is not None:
            with _said(f"{self!r} could not be started again"):
                self._container.reload()
                if self._container.status in ("running", "paused"):
                    return self
                self._container.start()
            self._wait_until_it_serves()
            self._collector.wake()
            return self
        atexit.register(self.close)
        try:
            self._engine = _connect()
            sweep_containers(self._engine)
            for attempt in range(1, _START_ATTEMPTS + 1):
                try:
                    self._run()
                    break
                except ServerError as error:
                    taken = re.search("address already in use|port is already allocated", str(error))
                    if attempt == _START_ATTEMPTS or not taken:
                        raise
                    self._remove()
            self._begin_log(after_revision=1)
        except BaseException:
            self.close()
            raise
        return self

    def kill(self) -> None:
        """End etcd with SIGKILL; its address and data stay reserved for `start`. Idempotent."""
        self._check_owner()
        if self._container is None:
            return
        self._paused = False
        with _said(f"{self!r} could not be killed"):
            self._container.reload()
            if self._container.status in ("running", "paused"):
                self._container.kill()
            self._container.wait(timeout=_ENGINE_SECONDS)

    def restart(self) -> None:
        """Kill it with SIGKILL and start it again with the same address and data, as `EtcdServer.restart`."""
        self._check_owner()
        if self._container is not None and not self._paused:
            try:
                self.revision(timeout=1.0)
            except ServerUnreachable:
                pass  # stuck or down: nothing was acknowledged lately
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered. In force on return; idempotent."""
        self._freeze("pause", unless="paused")
        self._paused = True

    def resume(self) -> None:
        """Let it go on after `pause`. Idempotent."""
        self._freeze("unpause", unless="running")
        self._paused = False

    def compact(self) -> int:
        return self._compact()

    compact.__doc__ = Etcd._compact.__doc__

    def another(self) -> EtcdContainer:
        """Start one more like this one, empty, which whoever asked for it closes.

        Raises:
            ServerError: as from `start`.
        """
        return EtcdContainer(self._image, flags=self._flags, start_timeout=self._start_timeout).start()

    def output(self, lines: int = 30) -> str:
        """The last ``lines`` lines that etcd printed, to show when something failed; "" after `close`."""
        if self._container is None:
            return ""
        with _said(f"the output of {self!r} could not be read"):
            printed: bytes = self._container.logs(tail=lines)
        return printed.decode(errors="replace").strip()

    def close(self) -> None:
        """Remove the container and all that it had. Idempotent; a forked child's call does nothing."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.close)
        self._end_log()
        try:
            self._remove()
        finally:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.close()

    def __enter__(self) -> EtcdContainer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"etcd-{self.port}" if self.port else "etcd"

    def _run(self) -> None:
        self._ports = [ReservedPort(self.host)]
        self._ports.append(ReservedPort(self.host))
        self.port, peer = (port.number for port in self._ports)
        if self._image is None:
            self._image = _newest_image(self._engine)
        image = _image(self._engine, self._image)
        with _said(f"no container of {self._image} could be started"):
            bridged = bool(self._engine.networks.list(names=["bridge"]))
            listen = f"0.0.0.0:{_CLIENT_PORT}" if bridged else f"{self.host}:{self.port}"
            flags = single_member_flags(
                f"http://{listen}", f"http://{self.address}", f"http://{self.host}:{peer}", "/netfault.etcd"
            )
            network: dict[str, Any] = (
                {"ports": {f"{_CLIENT_PORT}/tcp": (self.host, self.port)}}
                if bridged
                else {"network_mode": "host"}
            )
            self._container = self._engine.containers.create(
                image,
                [*flags, *self._flags],
                entrypoint=program_of(image.attrs.get("Config") or {}),
                labels={OWNER_LABEL: str(this_process()), _ID_LABEL: self._id},
                user="0",  # the data lies at the root of a throwaway file system
                **network,
            )
            self._container.start()
        self._wait_until_it_serves()

    def _wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + self._start_timeout
        while True:
            try:
                self._gateway.revision(timeout=_ANSWER_SECONDS)
                return
            except ServerUnreachable as error:
                reason = str(error)
            with _said(f"the state of {self!r} could not be read"):
                self._container.reload()
                state = self._container.attrs["State"]
            if state["Status"] not in ("created", "running"):
                why = f"ended with exit code {state.get('ExitCode')} before it served"
            elif time.monotonic() > deadline:
                why = f"did not serve within {self._start_timeout:g} s ({reason})"
            else:
                time.sleep(_POLL_SECONDS)
                continue
            printed = self.output()
            last = f"the last that it printed:\n{printed}" if printed else "it printed nothing"
            raise ServerError(f"etcd in a container of {self._image} {why}; {last}")

    def _freeze(self, verb: str, *, unless: str) -> None:
        self._check_owner()
        if self._container is None:
            raise ServerError(f"{self!r} is not running")
        with _said(f"{self!r} could not be {verb}d"):
            self._container.reload()
            if self._container.status != unless:
                getattr(self._container, verb)()

    def _remove(self) -> None:
        self._container = None
        try:
            if self._engine is not None:
                # By label, so that a container whose creation was interrupted is found too.
                _remove_all(self._engine, f"{_ID_LABEL}={self._id}")
        finally:
            for port in reversed(self._ports):
                port.close()
            self._ports = []


def newest_image() -> str:
    """The name of the newest etcd image that the engine has.

    Raises:
        ServerError: the package is missing, no engine answers or may be used, or it has no such image.
    """
    engine = _connect()
    try:
        return _newest_image(engine)
    finally:
        engine.close()


def sweep_containers(engine: Any) -> int:
    """Remove the containers whose owner is certainly dead; return how many those were."""
    removed = 0
    with _said("containers of dead owners could not be removed"):
        for container in engine.containers.list(
            all=True, filters={"label": OWNER_LABEL}, ignore_removed=True
        ):
            owner = read_owner(container.labels.get(OWNER_LABEL, ""))
            if owner is not None and owner.is_dead():
                _remove_one(container)
                removed += 1
    return removed


def program_of(config: Mapping[str, Any]) -> list[str]:
    """The command of an image that is etcd itself, without arguments and without scripts around it.

    >>> program_of({"Entrypoint": ["/etcd"]}), program_of({"Cmd": ["/usr/local/bin/etcd"]})
    (['/etcd'], ['/usr/local/bin/etcd'])
    >>> program_of({"Entrypoint": ["/entrypoint.sh"], "Cmd": ["/run.sh"]})
    ['etcd']
    """
    for part in ("Entrypoint", "Cmd"):
        words = config.get(part) or []
        if words and words[0].rpartition("/")[2] == "etcd":
            return [words[0]]
    return ["etcd"]


def _connect() -> Any:
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise ServerError(
            "etcd from Docker needs the package docker: pip install 'pytest-netfault[docker]'"
        ) from error
    where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    _reach(where)
    try:
        return docker.from_env(timeout=_ENGINE_SECONDS)
    except DockerException as error:
        raise ServerError(f"the Docker engine at {where} cannot be used: {error}") from error


def _reach(where: str) -> None:
    """Connect to the engine once, plainly: so what is wrong is known, which its package tells less well."""
    address = urlsplit(where)
    if address.scheme in ("unix", "http+unix"):
        family = socket.AF_UNIX
        target: Any = address.path
    elif address.scheme in ("tcp", "http", "https") and address.hostname in _LOOPBACK:
        family = socket.AF_INET6 if ":" in address.hostname else socket.AF_INET
        target = (address.hostname, address.port or 2375)
    else:
        raise ServerError(
            f"the Docker engine at {where} is not on this machine: start etcd there and name it with "
            "--netfault-etcd=HOST:PORT"
        )
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(target)
        except PermissionError as error:
            raise ServerError(
                f"the Docker engine at {where} may not be used by this user: join the group docker, or set DOCKER_HOST"
            ) from error
        except OSError as error:
            raise ServerError(
                f"no Docker engine answers at {where}: start one, or set DOCKER_HOST ({error.strerror or error})"
            ) from error


def _newest_image(engine: Any) -> str:
    with _said("the images of the Docker engine could not be listed"):
        tags: list[str] = [tag for image in engine.images.list() for tag in image.tags]
    found = [tag for tag in tags if re.search(r"(^|/)etcd:[^/]+$", tag)]
    if not found:
        raise ServerError(
            "the Docker engine has no etcd image: docker pull one, or name another with "
            "--netfault-etcd=docker:IMAGE"
        )

    def version(tag: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", tag.rpartition(":")[2])]

    return max(found, key=lambda tag: (version(tag), tag))


def _image(engine: Any, name: str) -> Any:
    from docker.errors import NotFound, NullResource

    try:
        with _said(f"the image {name} could not be looked up"):
            return engine.images.get(name)
    except ServerError as error:
        if isinstance(error.__cause__, (NotFound, NullResource)):
            raise ServerError(
                f"the Docker engine has no image {name}: run docker pull {name}, or name another with "
                "--netfault-etcd=docker:IMAGE"
            ) from error.__cause__
        raise


def _remove_all(engine: Any, label: str) -> None:
    with _said(f"the containers labelled {label} could not be removed"):
        for container in engine.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            _remove_one(container)


def _remove_one(container: Any) -> None:
    from docker.errors import APIError

    try:
        container.remove(force=True, v=True)
    except APIError as error:
        # Gone, or someone else is removing it at this moment: both are what was wanted.
        if error.status_code not in (404, 409):
            raise


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Turn whatever Docker and the connection to it raise into one sentence."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        raise ServerError(f"{what}: {error.explanation or error}") from error
    except (DockerException, RequestException, OSError) as error:
        raise ServerError(f"{what}: {error}") from error
