"""The port of a link: it serves, refuses or hangs, and it stays ours all the while.

* **serve**: connections are accepted.
* **refuse**: the kernel answers SYNs with RST. On Linux ``shutdown()`` on a listening socket does that without giving
  the port away; ``listen()`` serves again. Elsewhere another socket takes its place, bound and not listening, and for
  the moment between the two the port is nobody's. While refusing, ``SO_REUSEADDR`` is off, so that nobody else can bind
  the port; it must be on while connections are accepted, or the kernel would call the port in use later.
* **hang**: a socket filter swallows SYNs, so ``connect()`` itself waits. Where the kernel cannot do that,
  connections are left unaccepted.

Whatever is in the accept queue when the mode changes counts as open, and is accepted first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterator
from typing import Literal

from pytest_netfault.common import system
from pytest_netfault.faults import shown
from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.addresses import Address, TcpAddress, UnixAddress, name_of
from pytest_netfault.proxy.engine import Engine
from pytest_netfault.proxy.poller import READ

__all__ = ["Listener", "Mode"]

Mode = Literal["serve", "refuse", "hang"]

# The kernel's own upper bound is net.core.somaxconn (4096 today): as many as it allows.
_BACKLOG = 4096
# Connections accepted in one go before other sockets get their turn.
_ACCEPTS = 64
# Out of descriptors or memory: look again after this many seconds (the figure that trio uses as well).
_RETRY_SECONDS = 0.1
# How long to wait for another process that replaces a path in the same directory, which takes it a millisecond.
_LOCK_TRIES, _LOCK_SECONDS = 100, 0.005
_SPARES = itertools.count()
_CAPACITY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


class Listener:
    """One listening socket and its mode. Owned by a link; all methods but ``open`` run on the engine's thread.

    Args:
        engine: whose thread accepts.
        address: where to listen; port 0 takes any free one, kept from then on.
        on_accept: called with each accepted socket and the client's address as text.
        on_trouble: called with a sentence when accepting fails for want of descriptors or memory.

    Raises:
        OSError: the address cannot be listened on; the message names it.
        ValueError: the host is no name that could be looked up.
    """

    def __init__(
        self,
        engine: Engine,
        address: Address,
        on_accept: Callable[[socket.socket, str], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._on_accept = on_accept
        self._on_trouble = on_trouble
        self._loss = 0.0
        self._watched = False
        self._lost = False  # somebody has taken the port while it was nobody's
        self.was_lossy = False  # sockets accepted since may have inherited a filter
        self.mode: Mode = "serve"
        self._path = address.path if isinstance(address, UnixAddress) else None
        self._filters = kernel.has_filters() and self._path is None
        try:
            self._sock = _bind_unix(address.path) if isinstance(address, UnixAddress) else _bind_tcp(address)
            try:
                self._sock.listen(_BACKLOG)
            except BaseException:
                self._sock.close()
                raise
        except OSError as error:
            message = f"cannot listen on {address}: {error.strerror or error}"
            raise OSError(error.errno, message) from error
        except UnicodeError as error:
            raise ValueError(f"listen: {shown(str(address))} is no address: {error}") from error
        self._inode = os.stat(self._path).st_ino if self._path else 0  # noqa: PTH116
        self.address = name_of(self._sock.getsockname(), unix=self._path is not None)

    @property
    def drops(self) -> int:
        """Segments (connection attempts) that a filter has dropped here so far."""
        return kernel.drops_of(self._sock) if self._filters else 0

    @property
    def keeps_waiting(self) -> bool:
        """Whether somebody has connected and is not served: where no filter keeps connecting itself from ending."""
        if self.mode != "hang" or self._filters:
            return False
        waiting = select.poll()
        waiting.register(self._sock.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def start(self) -> None:
        """Begin to accept."""
        self._watch()

    def accept_all(self) -> None:
        """Accept every connection that is waiting now."""
        while self._accept_some():
            pass

    def set_mode(self, mode: Mode, *, loss: float = 0.0) -> None:
        """Serve, refuse or hang from now on; while serving, drop SYNs with probability ``loss``."""
        if (mode == self.mode and loss == self._loss) or self._lost:
            return
        if self._filters:
            # First nobody new comes in, then all who came are accepted, then the mode changes: a connection
            # whose handshake is complete can not fall between the two.
            kernel.set_loss(self._sock, 1.0 if mode in ("hang", "refuse") else loss)
        if self.mode != "refuse":
            self.accept_all()
        if self.mode == "refuse" and mode != "refuse":
            self._serve_again()
        elif mode == "refuse" and self.mode != "refuse":
            self._refuse()
        self.mode = mode
        self._loss = loss
        self.was_lossy = self.was_lossy or loss > 0
        if mode == "refuse" or (mode == "hang" and not self._filters):
            self._unwatch()
        else:
            self._watch()

    def close(self) -> None:
        """Give up the port. A Unix path is removed if it is still ours."""
        self._unwatch()
        self._sock.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                if os.stat(self._path).st_ino == self._inode:  # noqa: PTH116
                    os.unlink(self._path)  # noqa: PTH108

    def forget(self) -> None:
        """In a forked child: close the copy, touch nothing that the parent uses."""
        self._sock.close()

    # -- inside -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if not self._watched:
            self._engine.register(self._sock.fileno(), READ, self._ready)
            self._watched = True

    def _unwatch(self) -> None:
        if self._watched:
            self._engine.unregister(self._sock.fileno())
            self._watched = False

    def _ready(self, _mask: int) -> None:
        for _ in range(_ACCEPTS):
            if not self._accept_some():
                return

    def _accept_some(self) -> bool:
        try:
            sock, client = self._sock.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _CAPACITY:
                return error.errno in (errno.ECONNABORTED, errno.EINTR)
            self._on_trouble(f"cannot accept a connection: {error.strerror}")
            self._unwatch()
            self._engine.call_at(self._engine.now() + _RETRY_SECONDS, self._try_again)
            return False
        sock.setblocking(False)
        self._on_accept(sock, name_of(client, unix=self._path is not None))
        return True

    def _try_again(self) -> None:
        if self.mode == "serve" and self._sock.fileno() >= 0:
            self._watch()

    def _refuse(self) -> None:
        self._unwatch()
        if self._path is not None:
            # A Unix listener that was shut down cannot listen again, so a bound socket that does not listen
            # takes its place under the same path, in one step.
            self._replace(_bind_beside(self._path))
            return
        if system.LINUX:
            self._sock.shutdown(socket.SHUT_RDWR)
        else:
            self._stand_in()
        if not self._lost:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def _stand_in(self) -> None:
        """Let a socket that does not listen take the place of ours."""
        old, name = self._sock, self._sock.getsockname()
        old.close()
        try:
            self._sock = _bound(old.family, name)
        except OSError as error:
            self._lost = True
            self._on_trouble(
                f"cannot keep the port while it refuses: {error.strerror}; nothing is served any more"
            )

    def _serve_again(self) -> None:
        if self._path is None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.listen(_BACKLOG)

    def _replace(self, bound: socket.socket) -> None:
        assert self._path is not None
        os.replace(bound.getsockname(), self._path)  # noqa: PTH105
        self._inode = os.stat(self._path).st_ino  # noqa: PTH116
        self.accept_all()  # who had come to the old socket before its path was taken counts as open
        old, self._sock = self._sock, bound
        old.close()


def _bind_tcp(address: Address) -> socket.socket:
    assert isinstance(address, TcpAddress)
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, name = found[0]
    # A port that the kernel chose is given away at shutdown(); one that was asked for by number is kept. So a
    # first socket finds a free number, and a second one asks for it while the first still holds it.
    first = _bound(family, name)
    if name[1] != 0 or not system.LINUX:  # where there is no shutdown(), nor could a second one be bound
        return first
    with first:
        return _bound(family, (name[0], first.getsockname()[1], *name[2:]))


def _bound(family: int, name: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(path: str) -> socket.socket:
    """A socket bound to the path. What a process that was killed has left there is replaced, and nothing else."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            with _one_at_a_time(os.path.dirname(path) or "."):  # noqa: PTH120
                _remove_dead(path)
                sock.bind(path)  # if another process was faster, the path is in use again
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _one_at_a_time(directory: str) -> Iterator[None]:
    """Keep others of us from replacing a path in this directory meanwhile. The lock goes with its process."""
    with contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # a file system without locks, or a directory that we may not read
            descriptor = os.open(directory, os.O_RDONLY)
            undo.callback(os.close, descriptor)
            for _ in range(_LOCK_TRIES):  # bounded: a signal handler may have interrupted who holds it
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(_LOCK_SECONDS)
        yield


def _remove_dead(path: str) -> None:
    """Remove a socket that nobody has any more.

    Raises:
        OSError: it is no socket, or somebody has it.
    """
    _check_dead(path)
    # A program that is not ours may replace the path between the look and the removal. So it is moved away first, which
    # one process can do, and looked at again where nobody else looks; what is alive after all is put back.
    aside = _beside(path)
    with contextlib.suppress(FileNotFoundError):  # another process has removed it: all the better
        os.rename(path, aside)  # noqa: PTH104
        try:
            _check_dead(aside)
        except OSError:
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)  # noqa: RUF100
            raise
        finally:
            os.unlink(aside)  # noqa: PTH108


def _check_dead(path: str) -> None:
    """Raise unless this is a socket that nobody has.

    A datagram socket asks, because no stream socket accepts it, and no server sees it: the kernel says EPROTOTYPE for a
    socket that a process has bound, listening or not (a link that refuses does not), and ECONNREFUSED for one that none
    has.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(
                errno.EADDRINUSE, "there is a file of that name, which is no socket; choose another path"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        return
    except OSError as error:
        if error.errno != errno.EPROTOTYPE:
            raise
    raise OSError(
        errno.EADDRINUSE, "a process that is running has a socket of that name; choose another path"
    )


def _beside(path: str) -> str:
    """A name that nobody else uses, in the directory of ``path`` so that it can be moved there."""
    directory = os.path.dirname(path)  # noqa: PTH120
    return os.path.join(directory, f".nf{os.getpid():x}{next(_SPARES):x}")  # noqa: PTH118


def _bind_beside(path: str) -> socket.socket:
    """A bound socket that does not listen, to take the place of ``path``."""
    return _bind_unix(_beside(path))
