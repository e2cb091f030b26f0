"""The server as a process: its sockets, its signals, its log, and its end in order.

::

    main thread (trio)                                   proxy's thread (trio)
    hypercorn -> application -> collection ---- call ---> links, faults, connections
    signals   -> end: requests, schedules, connections, thread

Requests are answered on a thread of their own, so that none of them waits for traffic, and a call to the proxy's thread
is done in a millisecond or two.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_http

from pytest_netfault.common.printable import error_words, printable
from pytest_netfault.common.wording import counted
from pytest_netfault.control import ProxyThread
from pytest_netfault.serve.access import Access, is_loopback
from pytest_netfault.serve.application import make_application
from pytest_netfault.serve.collection import Collection
from pytest_netfault.serve.errors import ApiError
from pytest_netfault.serve.listening import AddressError, resolve_listen
from pytest_netfault.serve.metrics import Metrics
from pytest_netfault.serve.playing import Plays
from pytest_netfault.serve.proxy import Host
from pytest_netfault.serve.routes import OwnRoutes
from pytest_netfault.serve.toxiproxy import Toxiproxy
from pytest_netfault.serve.wire import decoded

__all__ = ["CannotServe", "Settings", "run_server"]

log = logging.getLogger("pytest_netfault.serve")

# What Toxiproxy gives a connection between two requests.
_IDLE_SECONDS = 60
# How long requests under way may take at the end, and then connections to be closed by their peers.
_GRACE_SECONDS = 1.0
_REAP_SECONDS = 0.01
# Python lets a thread run for 5 ms while another one waits; a control call should not take so long.
_SWITCH_SECONDS = 0.0005
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "disabled": logging.CRITICAL + 1,
}


class CannotServe(Exception):
    """The server cannot start; the message is one sentence."""


@dataclass(frozen=True)
class Settings:
    """How the server is run.

    Attributes:
        host: where it is controlled; only loopback unless told otherwise.
        port: likewise; 0 takes a free one.
        config: a file with proxies, as for ``/populate``.
        seed: what random choices are made from.
        report_version: what ``/version`` says.
        proxy_metrics: show bytes of the proxies in ``/metrics``.
        runtime_metrics: show the state of the process there.
        toxics_in_config: ``toxics`` of a proxy that is created count.
        token: what control from another machine needs; drawn if it is None.
        needs_token: whether it is needed at all.
        until_stdin_ends: end, as after SIGTERM, once the standard input ends.
    """

    host: str = "localhost"
    port: int = 8474
    config: str | None = None
    seed: int = field(default_factory=lambda: secrets.randbits(32))
    report_version: str = "2.12.0"
    proxy_metrics: bool = False
    runtime_metrics: bool = False
    toxics_in_config: bool = False
    token: str | None = None
    needs_token: bool = True
    until_stdin_ends: bool = False


def run_server(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C, or the end of the standard input if that is asked for.

    Returns:
        0 after SIGTERM or that end, 130 after Ctrl-C. Everything has ended then: requests, connections, ports, threads.

    Raises:
        CannotServe: the address cannot be listened on.
    """
    _set_up_log(os.environ.get("LOG_LEVEL", ""))
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What was imported stays: looking through it in each full collection takes tens of milliseconds.
    gc.collect()
    gc.freeze()
    return trio.run(_serve, settings)


async def _serve(settings: Settings) -> int:
    sockets = await _open_sockets(settings)
    thread = ProxyThread()
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            host = Host(thread, settings.seed, [])
            collection = Collection(host, toxics_count=settings.toxics_in_config)
            if settings.config is not None:
                await _populate(collection, settings.config)
            async with trio.open_nursery() as nursery:
                ended = trio.Event()
                await _begin(nursery, settings, sockets, collection, ended)
                number = await _first_of(signals, stdin=settings.until_stdin_ends)
                log.info("ending")
                ended.set()
            collection.close()
            with trio.move_on_after(_GRACE_SECONDS):
                while host.retired:
                    await trio.sleep(_REAP_SECONDS)
                    host.reap()
    finally:
        thread.close()
        for one in sockets:
            one.close()
    return 0 if number == signal.SIGTERM else 128 + number


async def _first_of(signals: AsyncIterator[int], *, stdin: bool) -> int:
    """The signal that comes; SIGTERM if the standard input counts and ends before."""
    number: int = signal.SIGTERM
    async with trio.open_nursery() as nursery:

        async def stdin_ends() -> None:
            await trio.to_thread.run_sync(_read_stdin, abandon_on_cancel=True)
            log.info("the standard input has ended")
            nursery.cancel_scope.cancel()

        if stdin:
            nursery.start_soon(stdin_ends)
        number = await anext(signals)
        nursery.cancel_scope.cancel()
    return number


def _read_stdin() -> None:
    with contextlib.suppress(OSError):  # there is none
        while os.read(0, 65536):
            pass


async def _begin(
    nursery: trio.Nursery,
    settings: Settings,
    sockets: list[socket.socket],
    collection: Collection,
    ended: trio.Event,
) -> None:
    """Begin to answer requests; ends when ``ended`` is set, with the schedules that are still played."""
    plays = Plays(nursery)
    shown = settings.proxy_metrics or settings.runtime_metrics
    metrics = Metrics(settings.proxy_metrics, settings.runtime_metrics) if shown else None
    token = settings.token or secrets.token_urlsafe(24)
    routes = {
        **Toxiproxy(collection, settings.report_version, metrics).routes,
        **OwnRoutes(collection, plays).routes,
    }
    application = make_application(routes, Access(token if settings.needs_token else None))
    names = [one.getsockname() for one in sockets]

    async def until_ended(*, task_status: trio.TaskStatus[list[str]]) -> None:
        await serve_http(
            application,  # type: ignore[arg-type]  # hypercorn has types of its own for the same protocol
            _http_config(sockets),
            shutdown_trigger=ended.wait,
            task_status=task_status,
            mode="asgi",
        )
        nursery.cancel_scope.cancel()  # the schedules that are still played

    await nursery.start(until_ended)
    if settings.needs_token and not all(is_loopback(str(name[0])) for name in names):
        drawn = "" if settings.token else f", which is {token}"
        log.warning("control from another machine needs the token%s", drawn)
    for name in names:
        where = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        log.info(
            "control on http://%s, API of Toxiproxy %s, seed %d",
            where,
            settings.report_version,
            settings.seed,
        )


def _http_config(sockets: list[socket.socket]) -> Config:
    config = Config()
    config.bind = [f"fd://{os.dup(one.fileno())}" for one in sockets]
    config.accesslog = None
    config.errorlog = logging.getLogger("pytest_netfault.serve.http")
    config.errorlog.setLevel(logging.WARNING)  # it would say where it runs, which we say
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_SECONDS
    config.keep_alive_max_requests = sys.maxsize
    config.read_timeout = None
    config.graceful_timeout = _GRACE_SECONDS
    return config


async def _open_sockets(settings: Settings) -> list[socket.socket]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        at = await resolve_listen(f"{host}:{settings.port}")
    except AddressError as error:
        raise CannotServe(f"--host {settings.host}: {error}") from error
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for address in at.addresses:
        assert not isinstance(address, str)
        family = socket.AF_INET6 if ":" in str(getattr(address, "host", "")) else socket.AF_INET
        port = sockets[0].getsockname()[1] if sockets else settings.port
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((getattr(address, "host", ""), port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.listen(1024)
        except OSError as error:
            sock.close()
            failed = failed or error
        else:
            sockets.append(sock)
    if not sockets:
        assert failed is not None
        raise CannotServe(f"cannot listen on {settings.host}:{settings.port}: {failed.strerror or failed}")
    return sockets


async def _populate(collection: Collection, name: str) -> None:
    """Create the proxies of a file. What is wrong with it is logged, and the server runs all the same."""
    try:
        body = decoded(await trio.Path(Path(name)).read_bytes())
        came = await collection.populate(body)
    except (OSError, ApiError) as error:
        log.error("--config %s cannot be used: %s", name, error_words(error))
        return
    if came.error is not None:
        log.error("--config %s: %s", name, came.error.text)
    log.info("--config %s: %s", name, counted(len(came.proxies), "proxy", "proxies"))


class _Lines(logging.Formatter):
    """One safe line for each record: names come from anybody."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _set_up_log(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(message)s"))
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(_LEVELS.get(level.lower(), logging.INFO))
