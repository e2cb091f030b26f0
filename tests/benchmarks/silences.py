"""What a client sees under each silence: ``python tests/benchmarks/silences.py [SECONDS]``.

Each cell of a table is a real connection on this kernel: the client exchanges a byte, the silence begins, and the
client reads, writes and reads, or has a call of gRPC or a statement of libpq under way. Measured is what it sees and
when, after the silence began; at most SECONDS (75) are waited for. All cells of a table are played at the same time.
The first row is the same without any silence: it shows that none of the clients ends by itself.

Intervals are short so that the table does not take hours. They grow as they are set: a keepalive finds out after
``TCP_KEEPIDLE + TCP_KEEPINTVL * TCP_KEEPCNT`` seconds, which is 2 h 11 min by default on Linux, and a writer without a
user timeout after about 15 minutes (``net.ipv4.tcp_retries2``).

libpq (by psycopg) talks to a real PostgreSQL; where that or psycopg is not installed, its table is left out.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent import futures
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import trustme

from pytest_netfault import Link, NetFault

USER_TIMEOUT_MS = 3000
GRPC_OPTIONS = [
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
# By default a server of gRPC ends a connection on which pings come more often than every five minutes.
SERVER_OPTIONS = [
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
]
SILENCES: dict[str, Callable[[Link], object]] = {
    "none": lambda link: link,
    "`blackhole()`": lambda link: link.blackhole(),
    "`blackhole(packets=True)`": lambda link: link.blackhole(packets=True),
    "`forget()`": lambda link: link.forget(),
    "`forget(packets=True)`": lambda link: link.forget(packets=True),
    '`cut(0, how="blackhole")`': lambda link: link.cut(0, how="blackhole"),
    "`stall_accept()`": lambda link: link.stall_accept(),
}


def keepalive(sock: socket.socket) -> None:
    """Probes after one idle second, each second, three times."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def user_timeout(sock: socket.socket) -> None:
    """What is not acknowledged for three seconds ends the connection."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def both(sock: socket.socket) -> None:
    keepalive(sock)
    user_timeout(sock)


def seen(began: float, error: BaseException | None) -> str:
    """One cell of the table."""
    after = f"{time.monotonic() - began:.1f} s"
    if error is None:
        return f"answered, {after}"
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}, {after}"
    if isinstance(error, OSError) and error.errno:
        return f"{errno.errorcode[error.errno]}, {after}"
    return "nothing" if isinstance(error, TimeoutError) else f"{type(error).__name__}, {after}"


Measure = Callable[[Link, Callable[[Link], object], float], str]


def on_an_open_connection(prepare: Callable[[socket.socket], None], *, writes: bool) -> Measure:
    """A plain client that has a connection; it reads, or writes and then reads."""

    def measure(link: Link, silence: Callable[[Link], object], seconds: float) -> str:
        with socket.create_connection((link.host, link.port), timeout=5) as client:
            prepare(client)
            client.sendall(b"?")
            assert client.recv(1) == b"?"
            silence(link)
            began = time.monotonic()
            client.settimeout(seconds)
            try:
                if writes:
                    client.sendall(b"?")
                client.recv(1)
            except OSError as error:
                return seen(began, error)
            return seen(began, None)

    return measure


def on_a_new_connection(link: Link, silence: Callable[[Link], object], seconds: float) -> str:
    """A plain client that connects while the silence holds, and asks."""
    with socket.create_connection((link.host, link.port), timeout=5) as first:
        first.sendall(b"?")
        assert first.recv(1) == b"?"
        silence(link)
        began = time.monotonic()
        try:
            client = socket.create_connection((link.host, link.port), timeout=seconds)
        except OSError as error:
            return "connect: " + seen(began, error)
        with client:
            try:
                client.sendall(b"?")
                client.recv(1)
            except OSError as error:
                return "connected, then " + seen(began, error)
            return seen(began, None)


def in_a_call_of_grpc(*options: tuple[str, int]) -> Measure:
    """A stream of gRPC that waits for the next message, as a watch does; with keepalive pings."""

    def measure(link: Link, silence: Callable[[Link], object], seconds: float) -> str:
        with grpc.insecure_channel(link.address, options=[*GRPC_OPTIONS, *options]) as channel:
            call = channel.unary_stream("/silence/Watch")(b"", timeout=seconds + 5)
            assert next(call) == b"first"
            silence(link)
            began = time.monotonic()
            timer = threading.Timer(seconds, call.cancel)
            timer.start()
            try:
                next(call)
            except grpc.RpcError as error:
                return "nothing" if error.code() is grpc.StatusCode.CANCELLED else seen(began, error)
            finally:
                timer.cancel()
            return seen(began, None)

    return measure


def in_libpq(statement: str, settings: str = "") -> Measure:
    """A client of PostgreSQL; it waits for a slow answer when the silence begins, or asks when it has begun."""

    def measure(link: Link, silence: Callable[[Link], object], seconds: float) -> str:
        import psycopg

        where = f"host=127.0.0.1 port={link.port} user=postgres dbname=postgres {settings}"
        connection = psycopg.connect(where, autocommit=True)
        over = threading.Event()

        def give_up() -> None:
            over.set()
            with socket.socket(fileno=os.dup(connection.fileno())) as sock, suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, give_up)
        if statement == "waits":
            threading.Timer(0.5, silence, [link]).start()  # the statement is on its way by then
        else:
            silence(link)
        began = time.monotonic() + (0.5 if statement == "waits" else 0)
        timer.start()
        try:
            connection.execute("SELECT pg_sleep(1000)" if statement == "waits" else "SELECT 1")
        except psycopg.OperationalError as error:
            if over.is_set():
                return "nothing"
            why = str(error).strip().rpartition(": ")[2]
            names = {os.strerror(number): name for number, name in errno.errorcode.items()}
            return f"{names.get(why, why)}, {time.monotonic() - began:.1f} s"
        finally:
            timer.cancel()
            connection.close()
        return seen(began, None)

    return measure


_KEEPALIVES = "keepalives=1 keepalives_idle=1 keepalives_interval=1 keepalives_count=2"
_USER_TIMEOUT = f"tcp_user_timeout={USER_TIMEOUT_MS}"
PLAIN: dict[str, Measure] = {
    "reads; defaults": on_an_open_connection(lambda _: None, writes=False),
    "reads; keepalive 1 + 3 x 1 s": on_an_open_connection(keepalive, writes=False),
    "writes; defaults": on_an_open_connection(lambda _: None, writes=True),
    "writes; user timeout 3 s": on_an_open_connection(user_timeout, writes=True),
    "reads; keepalive and user timeout": on_an_open_connection(both, writes=False),
    "connects": on_a_new_connection,
}
GRPC: dict[str, Measure] = {
    "gRPC; keepalive 1 + 1 s": in_a_call_of_grpc(),
    "gRPC; and ping timeout 1 s": in_a_call_of_grpc(("grpc.http2.ping_timeout_ms", 1000)),
}

LIBPQ: dict[str, Measure] = {
    "waits; defaults": in_libpq("waits"),
    "waits; keepalives 1 + 2 x 1 s": in_libpq("waits", _KEEPALIVES),
    "waits; `tcp_user_timeout` 3 s": in_libpq("waits", _USER_TIMEOUT),
    "waits; both": in_libpq("waits", f"{_KEEPALIVES} {_USER_TIMEOUT}"),
    "asks; defaults": in_libpq("asks"),
    "asks; keepalives 1 + 2 x 1 s": in_libpq("asks", _KEEPALIVES),
    "asks; `tcp_user_timeout` 3 s": in_libpq("asks", _USER_TIMEOUT),
    "asks; both": in_libpq("asks", f"{_KEEPALIVES} {_USER_TIMEOUT}"),
}


def echo(server: socket.socket) -> None:
    """Answer each byte with itself, on each connection."""

    def serve(sock: socket.socket) -> None:
        with sock, suppress(OSError):
            while data := sock.recv(100):
                sock.sendall(data)

    with suppress(OSError):
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


class Watch(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Says one thing and then nothing, until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def service(self, _details: object) -> object:
        def stream(_request: object, context: grpc.ServicerContext) -> object:
            context.add_callback(self.over.set)
            yield b"first"
            while context.is_active() and not self.over.wait(0.5):
                pass

        return grpc.unary_stream_rpc_method_handler(stream)


def watch_server(stack: ExitStack) -> str:
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Watch()], options=SERVER_OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stack.callback(server.stop, None)
    return f"127.0.0.1:{port}"


def echo_server(stack: ExitStack) -> str:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
    threading.Thread(target=echo, args=(server,), daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


def postgres(stack: ExitStack) -> str | None:
    """The address of a PostgreSQL; None if there is none on this machine."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.postgres import FOLDERS, postgres_server

    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *FOLDERS])
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return None
    if shutil.which("initdb", path=path) is None:
        return None
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    pem = Path(folder, "server.pem")
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    return stack.enter_context(
        postgres_server(lambda name: shutil.which(name, path=path) or name, pem)
    ).address


def table(seconds: float, clients: dict[str, Measure], upstream: Callable[[Measure], str]) -> None:
    """Play all cells at the same time, and print them."""
    with ExitStack() as stack:
        pool = stack.enter_context(futures.ThreadPoolExecutor(100))
        net = stack.enter_context(NetFault(seed=1))

        def cell(name: str, measure: Measure) -> str:
            with net.forward(upstream(measure)) as link:
                return measure(link, SILENCES[name], seconds)

        cells = {
            (name, client): pool.submit(cell, name, measure)
            for name in SILENCES
            for client, measure in clients.items()
        }
        print(f"| silence | {' | '.join(clients)} |")
        print(f"|{'---|' * (len(clients) + 1)}")
        for name in SILENCES:
            print(f"| {' | '.join([name, *(cells[name, client].result() for client in clients)])} |")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 75.0
    with ExitStack() as stack:
        echoes = echo_server(stack)
        # A server of gRPC for each cell: those of one process share their threads.
        table(
            seconds,
            {**PLAIN, **GRPC},
            lambda measure: watch_server(stack) if measure in GRPC.values() else echoes,
        )
        print(f"\nLinux {platform.release()}, grpcio {grpc.__version__}.")
        database = postgres(stack)
        if database is not None:
            import psycopg

            print()
            table(seconds, LIBPQ, lambda _: database)
            print(f"\nlibpq {psycopg.pq.version()} by psycopg {psycopg.__version__}.")
    print(f"'nothing': nothing within {seconds:g} s. 'x + n x y s': idle for x, then n probes, y apart.")


if __name__ == "__main__":
    main()
