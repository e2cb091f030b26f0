"""Real servers, and the one story that every client is told with every fault.

A test file says how its client connects and what it exchanges; `play` connects it through a link, switches a fault on
and off, and holds the client to what the fault claims:

    before    the exchange is right
    during    open and new connections work, end, hang, are refused or see damage, as `Case` says
    after     a new connection works, and what only hung has become what the fault says

Rules of this folder: every exchange checks its bytes and runs in a thread that the test does not wait for longer than
`PATIENCE`; a server is a process that dies with the test process, and what was given back is removed; a program or
package that is missing is a skip that names it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import socketserver
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_netfault.control import Link, NetFault
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
)
from pytest_netfault.servers.ports import ReservedPort
from pytest_netfault.servers.process import OwnedProcess
from pytest_netfault.servers.scratch import ScratchDirectory

# Far longer than anything here takes: reached only when something is broken.
PATIENCE = 60.0
# How long nothing has to happen before it is called hanging. A slow machine only makes that truer.
SILENCE = 0.1
# What is exchanged. It repeats nowhere, so that bytes out of place are seen.
BLOB = hashlib.shake_128(b"exchanged").digest(40_000)
# In the middle of the second answer of a connection, whatever the protocol adds to the first.
SECOND_ANSWER = 60_000

Outcome = Literal["works", "ends", "hangs", "damaged", "refused"]


class WrongBytes(AssertionError):
    """What came back is not what was sent."""


@dataclass(frozen=True)
class Case:
    """A fault, and what it does to a connection that was open and to one that is opened meanwhile.

    Attributes:
        healed: what becomes of an exchange that hung, once the fault is healed.
    """

    fault: Fault
    open: Outcome
    new: Outcome | None
    healed: Literal["works", "ends"] = "works"

    def __str__(self) -> str:
        return repr(self.fault)


CASES = [
    Case(Sever(), "ends", "refused"),
    Case(Reset(), "ends", "works"),
    Case(Refuse(), "works", "refused"),
    # A hanging connect() costs a second of the kernel's patience: `StallAccept` shows it for every client.
    Case(Blackhole(), "hangs", None),
    Case(Blackhole("up"), "hangs", None),
    Case(Blackhole("down"), "hangs", None),
    Case(Blackhole(on_heal="sever"), "hangs", None, "ends"),
    Case(Blackhole(on_heal="reset"), "hangs", None, "ends"),
    Case(Blackhole(packets=True), "hangs", None),
    Case(StallAccept(), "works", "hangs"),
    Case(Cut(SECOND_ANSWER, direction="down"), "ends", "works"),
    Case(Cut(SECOND_ANSWER, direction="down", how="rst"), "ends", "works"),
    Case(Cut(SECOND_ANSWER, direction="down", how="blackhole"), "hangs", "works"),
    Case(Delay(0.02, jitter=0.01), "works", "works"),
    Case(Throttle(2_000_000), "works", "works"),
    Case(Slice(113), "works", "works"),
    Case(Corrupt(0.02, direction="down"), "damaged", "damaged"),
    Case(Lose(0.03), "works", "works"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES, ids=str)


# -- the story -----------------------------------------------------------------------------------------------


class Attempt:
    """Something that a client does in a thread of its own, since it may hang."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._future: Future[object] = Future()

        def run() -> None:
            try:
                self._future.set_result(work())
            except BaseException as error:
                self._future.set_exception(error)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def result(self) -> object:
        return self._future.result(PATIENCE)

    def error(self) -> BaseException | None:
        return self._future.exception(PATIENCE)

    def hangs(self) -> bool:
        """Whether it is still without a result after a while in which it could have had one."""
        try:
            self._future.exception(SILENCE)
        except TimeoutError:
            return True
        return False

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the client is still at it although its link is closed"


class Story:
    """One client on one link. `open(link, stack)` connects and returns the exchange; the stack closes it."""

    def __init__(
        self,
        link: Link,
        open_session: Callable[[Link, contextlib.ExitStack], Callable[[], object]],
        errors: tuple[type[BaseException], ...],
        reconnects: bool,
    ) -> None:
        self._link = link
        self._reconnects = reconnects
        self._open = open_session
        self._errors = errors
        self._stack = contextlib.ExitStack()
        self._attempts: list[Attempt] = []
        self.hung: list[Attempt] = []

    def attempt(self, work: Callable[[], object]) -> Attempt:
        attempt = Attempt(work)
        self._attempts.append(attempt)
        return attempt

    def connect(self) -> Callable[[], object]:
        """The exchange of a new connection, which may not be open before the first exchange."""
        return self._open(self._link, self._stack)

    def connect_and_exchange(self) -> None:
        self.connect()()

    def expect(self, outcome: Outcome, work: Callable[[], object]) -> None:
        attempt = self.attempt(work)
        if outcome == "works":
            attempt.result()
        elif outcome == "hangs":
            assert attempt.hangs(), f"something came back: {attempt.error()!r}"
            self.hung.append(attempt)
        elif outcome == "damaged":
            if attempt.hangs():  # a length that was damaged makes a client wait for bytes that nobody sends
                self.hung.append(attempt)
            else:
                assert isinstance(attempt.error(), (WrongBytes, *self._errors)), repr(attempt.error())
        else:
            self.check_ended(attempt, refused=outcome == "refused")

    def expect_reset(self, work: Callable[[], object]) -> None:
        """An idle connection that was reset is an error, or a client with a pool has noticed and opened another."""
        attempt = self.attempt(work)
        if self._reconnects and attempt.error() is None:
            self._link.wait_for_connection(2)
        else:
            self.check_ended(attempt)

    def check_ended(self, attempt: Attempt, *, refused: bool = False) -> None:
        error = attempt.error()
        assert error is not None, "the exchange went on as if nothing had happened"
        told = "".join(traceback.format_exception(error))
        assert isinstance(error, self._errors), told
        if refused:
            assert "refused" in told.lower(), told

    def close(self) -> None:
        self._link.close()  # whatever a client still waits for ends here
        try:
            for attempt in self._attempts:
                attempt.join()
        finally:
            self._stack.close()


def _play(
    link: Link,
    case: Case,
    open_session: Callable[[Link, contextlib.ExitStack], Callable[[], object]],
    errors: tuple[type[BaseException], ...],
    reconnects: bool,
) -> None:
    story = Story(link, open_session, errors, reconnects)
    try:
        exchange = story.attempt(story.connect).result()
        story.expect("works", exchange)
        with link.apply(case.fault) as active:
            if isinstance(case.fault, Reset):
                story.expect_reset(exchange)
            else:
                story.expect(case.open, exchange)
            if case.new is not None:
                story.expect(case.new, story.connect_and_exchange)
        # Kernel-refused attempts leave no trace, and an exchange that hangs may hang before it sends.
        assert active.met_traffic or isinstance(case.fault, Refuse)
        if case.open == "damaged" and story.hung:
            link.reset()
        for attempt in story.hung:
            if case.open == "damaged":
                assert isinstance(attempt.error(), (WrongBytes, *errors)), repr(attempt.error())
            elif case.healed == "ends":
                story.check_ended(attempt)
            else:
                attempt.result()
        story.expect("works", story.connect_and_exchange)
        link.assert_traffic(up=1, down=len(BLOB))
    finally:
        story.close()


@pytest.fixture
def net(netfault_factory: Callable[..., NetFault]) -> Iterator[NetFault]:
    with netfault_factory(seed=1) as net:
        yield net


@pytest.fixture
def play(net: NetFault) -> Callable[..., None]:
    """``play(upstream, case, open_session, errors)``: the story of one client with one fault.

    ``reconnects=True`` is for a client that by itself replaces a connection which ended while it was idle.
    """

    def play(
        upstream: str,
        case: Case,
        open_session: Any,
        errors: tuple[type[BaseException], ...],
        *,
        reconnects: bool = False,
    ) -> None:
        _play(net.forward(upstream), case, open_session, errors, reconnects)

    return play


class Helpers:
    """What test files share. A fixture, since test modules do not import each other."""

    patience = PATIENCE
    silence = SILENCE
    blob = BLOB
    attempt = Attempt

    @staticmethod
    def check(received: object, expected: bytes = BLOB) -> None:
        if received != expected:
            raise WrongBytes("the answer differs from what was sent")

    @staticmethod
    def program(name: str, *folders: str) -> str:
        return _program(name, *folders)


@pytest.fixture(scope="session")
def helpers() -> type[Helpers]:
    return Helpers


# -- servers -------------------------------------------------------------------------------------------------


def _program(name: str, *folders: str) -> str:
    """The path of a program; the test is skipped where it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *folders])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _without_error(ready: Callable[[int], object], port: int) -> bool:
    try:
        ready(port)
    except OSError:
        return False
    return True


class Server:
    """A server's process, its directory and its port; a context manager.

    Args:
        command: the program and its arguments, made from the port and the directory.
        ready: raises `OSError` until the server can be used.
        prepare: fills the directory before the server starts.
        goodbye: how the server is asked to end, where killing it would leave something behind.
    """

    def __init__(
        self,
        command: Callable[[int, Path], list[str]],
        *,
        ready: Callable[[int], object],
        prepare: Callable[[Path], object] = lambda _: None,
        goodbye: signal.Signals = signal.SIGKILL,
    ) -> None:
        self._stack = contextlib.ExitStack()
        with self._stack:
            self.folder = self._stack.enter_context(ScratchDirectory("integration")).path
            prepare(self.folder)
            self.port = self._stack.enter_context(ReservedPort()).number
            self._output = self.folder / "output.txt"
            self._goodbye = goodbye
            self._process = OwnedProcess(
                command(self.port, self.folder),
                output=self._output,
                environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                folder=self.folder,
            )
            self._stack.callback(self._end)
            self._wait_until(ready)
            self._stack = self._stack.pop_all()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _wait_until(self, ready: Callable[[int], object]) -> None:
        for _ in range(int(PATIENCE / 0.02)):
            if _without_error(ready, self.port):
                return
            if self._process.wait(0.02):
                break
        raise AssertionError(f"the server does not serve: {self._output.read_text(errors='replace')}")

    def _end(self) -> None:
        if self._process.returncode is None and self._goodbye is not signal.SIGKILL:
            os.kill(self._process.pid, self._goodbye)
            self._process.wait(10)
        self._process.kill()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _accepts(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()


@pytest.fixture(scope="session")
def redis_address() -> Iterator[str]:
    program = _program("redis-server")

    def command(port: int, folder: Path) -> list[str]:
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
        return [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]

    with Server(command, ready=_accepts) as server:
        yield server.address


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    postgres, initdb = _program("postgres", *folders), _program("initdb", *folders)
    user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        import pwd

        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        # The kernel forgets the wish to die with us when the user changes, so it is made once more.
        user = [
            _program("setpriv"),
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--pdeathsig=KILL",
        ]

    def prepare(folder: Path) -> None:
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user:
            folder.chmod(0o711)
            shutil.chown(data, "postgres", "postgres")
        make = [
            *user,
            initdb,
            "-D",
            str(folder / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
        ]
        made = OwnedProcess(
            [*make, "--locale=C"],
            output=folder / "initdb.txt",
            environment={"PATH": os.defpath},
            folder=folder,
        )
        assert made.wait(PATIENCE)
        assert made.returncode == 0, (folder / "initdb.txt").read_text(errors="replace")

    def command(port: int, folder: Path) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        return [*user, postgres, "-D", str(folder / "data"), "-p", str(port), *settings]

    # SIGINT, so that it gives its shared memory back.
    with Server(command, ready=_answers_postgres, prepare=prepare, goodbye=signal.SIGINT) as server:
        yield server.address


def _answers_postgres(port: int) -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
    except psycopg.OperationalError as error:
        raise OSError(str(error)) from error


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 and localhost, and who vouches for it."""

    pem: Path
    authority: Path

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return Certificate(folder / "server.pem", folder / "authority.pem")


_NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{options}; root {folder}/files; client_max_body_size 10m; {tls}
    location /put/ {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""


def _nginx(options: str = "", tls: str = "") -> Server:
    program = _program("nginx")

    def command(port: int, folder: Path) -> list[str]:
        text = _NGINX.format(folder=folder, port=port, options=options, tls=tls)
        (folder / "nginx.conf").write_text(text)
        return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]

    def prepare(folder: Path) -> None:
        (folder / "files").mkdir()
        (folder / "files" / "blob").write_bytes(BLOB)
        with (folder / "files" / "endless").open("wb") as sparse:
            sparse.truncate(1 << 40)

    return Server(command, ready=_accepts, prepare=prepare)


@pytest.fixture(scope="session")
def nginx_address() -> Iterator[str]:
    """HTTP/1.1 without TLS; ``/blob`` is `BLOB`, ``/endless`` does not end, ``/put/`` takes what is PUT."""
    with _nginx() as server:
        yield server.address


@pytest.fixture(scope="session")
def nginx_tls_address(certificate: Certificate) -> Iterator[str]:
    """The same over TLS, with HTTP/2."""
    tls = f"ssl_certificate {certificate.pem}; ssl_certificate_key {certificate.pem};"
    with _nginx(" ssl http2", tls) as server:
        yield server.address


@pytest.fixture
def iperf3_address() -> Iterator[str]:
    """A server for each test: it serves one client at a time."""
    program = _program("iperf3")
    # It says that it listens; a connection to try it out would count as a client.
    with Server(
        lambda port, _: [
            program,
            "--server",
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--forceflush",
        ],
        ready=_listens,
    ) as server:
        yield server.address


def _listens(port: int) -> None:
    """Whether a socket listens on the port, told by the kernel and without connecting."""
    wanted = f"0100007F:{port:04X}" if sys.byteorder == "little" else f"7F000001:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    if not any(row[1] == wanted and row[3] == "0A" for row in rows):
        raise OSError("not yet")


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client is gone, or was never one
            if (context := self.server.context) is not None:  # type: ignore[attr-defined]
                self.request = context.wrap_socket(self.request, server_side=True)
            try:
                while data := self.request.recv(65536):
                    self.request.sendall(data)
            finally:
                self.request.close()


class _EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2048

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        super().__init__(("127.0.0.1", 0), _Echo)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def _serving(server: _EchoServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def echo_address() -> Iterator[str]:
    """Sends back what it receives."""
    with _serving(_EchoServer()) as address:
        yield address


@pytest.fixture(scope="session")
def tls_echo_address(certificate: Certificate) -> Iterator[str]:
    """Sends back what it receives, over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.pem)
    with _serving(_EchoServer(context)) as address:
        yield address
