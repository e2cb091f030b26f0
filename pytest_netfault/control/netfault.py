"""Where links come from: a :class:`NetFault` owns them, and closes them together."""

from __future__ import annotations

import contextlib
import secrets
import time
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_netfault.common.callers import source_line
from pytest_netfault.control.link import Link
from pytest_netfault.control.observer import Observer
from pytest_netfault.control.registry import names_frames, note_opened
from pytest_netfault.faults.arguments import count, shown
from pytest_netfault.faults.frame import check_frames
from pytest_netfault.faults.synonyms import no_attribute
from pytest_netfault.proxy.addresses import Address, AddressLike, TcpAddress, parse_address
from pytest_netfault.proxy.budget import LEAST_MAX_HELD, MAX_HELD
from pytest_netfault.proxy.link import ProxyLink
from pytest_netfault.proxy.thread import NetFaultClosed, ProxyThread, crash_error
from pytest_netfault.proxy.tls.settings import TLS, check_tls

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_netfault.proxy.surroundings import Securing
    from pytest_netfault.proxy.tls.authority import Authority

__all__ = ["NetFault", "net_on"]


class NetFault:
    """Links to real servers, and the faults on them. A context manager; under pytest use the fixtures.

    Args:
        seed: what every random choice is made from (jitter, corrupted positions). Drawn anew if not given.
        observer: is called when a link is opened, a fault is applied, and when all is closed; see :class:`Observer`.

    >>> from pytest_netfault import NetFault
    >>> import socket
    >>> with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=7) as net:
    ...     link = net.forward(server.getsockname())
    ...     with link.refuse():
    ...         try:
    ...             socket.create_connection((link.host, link.port))
    ...         except ConnectionRefusedError:
    ...             print("refused")
    refused
    """

    def __init__(self, seed: int | None = None, *, observer: Observer | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise TypeError(f"seed must be a whole number or None, not {seed!r}")
        self.seed = secrets.randbits(32) if seed is None else seed
        self._owns_thread = True
        self._thread = ProxyThread()
        self._observer = observer
        self._name = f"<NetFault seed={self.seed}>"
        self._links: list[Link] = []
        self._closed = False
        self._ended = False

    @property
    def links(self) -> tuple[Link, ...]:
        """The links made so far, closed ones too."""
        return tuple(self._links)

    def forward(
        self,
        upstream: AddressLike,
        *,
        listen: AddressLike = ("127.0.0.1", 0),
        name: str | None = None,
        max_held: int = MAX_HELD,
        frames: str | bool = False,
        tls: bool | TLS = False,
    ) -> Link:
        """Open a port that forwards to a server.

        Args:
            upstream: where to: ``"host:port"``, ``(host, port)``, a port on 127.0.0.1, or ``"unix:/path"``. It need
                not be there yet: each connection tries it anew. A name must resolve now, within 5 seconds, and is
                looked up again for each connection; where it no longer resolves, the connection is refused (event
                ``upstream_failed``).
            listen: where to listen, in the same forms; port 0 takes a free one. Only loopback unless you ask
                for something else. A name must resolve within 5 seconds; its first address is taken.
            name: for events and messages; ``link1``, ``link2``, ... if not given.
            max_held: how many bytes the link may hold back, all its connections and faults together. Beyond it senders
                feel back-pressure.
            frames: name the frames of each connection for as long as it lives: the protocol, such as ``"resp"``, or
                True to recognize it by its first bytes. Then events say in which frame a fault has ended a connection,
                and ``Cut(at=Frame(...))`` can be applied at any time. Without it frames are counted from the moment
                when a ``Cut`` is in force, on connections that have delivered no more than 16 KiB by then.
            tls: True, or :class:`TLS` with how: the link serves TLS with a certificate of :attr:`ca`, and speaks TLS to
                the upstream. Faults then act on the plaintext. Without it TLS passes as it is.

        Raises:
            TypeError, ValueError: an argument is no address; the message names it.
            OSError: ``listen`` cannot be listened on, or a name cannot be resolved.
            NetFaultClosed: it was closed.
            ModuleNotFoundError: ``tls`` needs trustme (``pytest-netfault[tls]``), which is not installed.
        """
        settings = check_tls(tls)
        to = parse_address(upstream, what="upstream")
        at = parse_address(listen, what="listen", any_port=True)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        count("max_held", max_held, least=LEAST_MAX_HELD)
        protocol = check_frames(frames) or names_frames()
        if self._closed:
            raise NetFaultClosed("this NetFault was closed; open a new one")
        secure = _secure(settings, to)
        at = self._thread.look_up(at)
        engine = self._thread.engine()
        called = name or f"link{len(self._links) + 1}"
        made = ProxyLink(
            engine, to, at, name=called, seed=self.seed, max_held=max_held, frames=protocol, secure=secure
        )
        try:
            self._thread.add(made)
            link = Link(self._thread, made, self._observer)
            self._links.append(link)
        except BaseException:
            self._thread.drop(made)
            made.listener.forget()  # where the proxy has ended before it took the link
            raise
        if self._observer is not None:
            self._observer.opened(link)
        note_opened(link)
        return link

    @property
    def ca(self) -> Authority:
        """The certificate authority of this session, whose certificates TLS links show: ``ca.file`` is its path.

        Raises:
            ModuleNotFoundError: trustme (``pytest-netfault[tls]``) is not installed.
        """
        from pytest_netfault.proxy.tls.authority import authority

        return authority()

    def note(self, text: str) -> None:
        """Put a line on the timeline of every link that is open now: what the test is about to do, or has seen.

        It is an event ``note`` in ``link.events``, with the text in ``detail`` and the line of the test in ``source``.

        Raises:
            TypeError: ``text`` is no string.
            NetFaultClosed: it was closed.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, not {shown(text)}")
        if self._closed:
            raise NetFaultClosed("this NetFault was closed; open a new one")
        source = source_line()

        def write() -> None:
            at = time.monotonic()
            for link in self._links:
                link._note(text, source, at)

        if self._links:
            self._thread.change(write)

    def heal(self) -> None:
        """Take every fault of every link away. Does nothing after close."""
        for link in self._links:
            link.heal()

    def close(self) -> None:
        """Close every link, the newest first; returns when nothing is left. Idempotent.

        Raises:
            RuntimeError: the proxy has crashed; the cause is the crash. Everything is closed all the same. Of the
                NetFaults on one thread the first one says so.
        """
        if self._ended:
            return
        # Nothing is opened any more. After Ctrl-C from here on, close() may be called again.
        self._closed = True
        observer, self._observer = self._observer, None
        with (
            contextlib.ExitStack() as closing
        ):  # goes on after Ctrl-C in the middle of it; the last is done first
            if observer is not None:
                closing.callback(observer.closed, self)
            if self._owns_thread:
                closing.callback(self._thread.close)
            for link in self._links:
                closing.callback(link.close)
            if observer is not None:
                closing.callback(observer.closing, self)
        self._ended = True
        crash = self._thread.unreported_crash()
        if crash is not None:
            raise crash_error(crash) from crash

    def __enter__(self) -> Self:
        if self._closed:
            raise NetFaultClosed("this NetFault was closed; open a new one")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            raise AttributeError(no_attribute("NetFault", name), name=name, obj=self)

    def __repr__(self) -> str:
        return self._name


def net_on(
    thread: ProxyThread, seed: int | None = None, *, observer: Observer | None = None, name: str = ""
) -> NetFault:
    """A :class:`NetFault` on a thread that it shares with others, and does not end.

    Args:
        thread: whose links its links are beside.
        seed: as of :class:`NetFault`.
        observer: as of :class:`NetFault`.
        name: what it prints as.
    """
    net = NetFault(seed, observer=observer)
    net._thread, net._owns_thread = thread, False
    net._name = name or net._name
    return net


def _secure(settings: TLS | None, upstream: Address) -> Securing | None:
    if settings is None:
        return None
    from pytest_netfault.proxy.tls.contexts import Secure

    return Secure(settings, upstream.host if isinstance(upstream, TcpAddress) else "")
