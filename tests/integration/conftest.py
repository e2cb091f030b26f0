"""The one story that every client is told with every fault.

A test file says how its client connects and what it exchanges; `play` connects it through a link, switches a fault on
and off, and holds the client to what the fault claims:

    before    the exchange is right
    during    open and new connections work, end, hang, are refused or see damage, as `Case` says
    after     a new connection works, and what only hung has become what the fault says

Rules of this folder: every exchange checks its bytes and runs in a thread that the test does not wait for longer than
`PATIENCE`; a program or package that is missing is a skip that names it. The servers are in `clients/conftest.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from pytest_netfault.control import ActiveFault, Link, NetFault
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Forget,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
)

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
    healed: Literal["works", "ends", "never"] = "works"

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
    Case(Forget(), "hangs", "works", "never"),
    Case(Forget(packets=True), "hangs", "works", "never"),
    Case(Delay(0.02, jitter=0.01), "works", "works"),
    Case(Throttle(2_000_000), "works", "works"),
    Case(Slice(113), "works", "works"),
    Case(Corrupt(0.02, direction="down"), "damaged", "damaged"),
    Case(Lose(0.03), "works", "works"),
]


# For clients whose story with every fault is told elsewhere: one of each kind.
FEW = [
    Case(Sever(), "ends", "refused"),
    Case(Reset(), "ends", "works"),
    Case(Blackhole(on_heal="reset"), "hangs", None, "ends"),
    Case(Cut(SECOND_ANSWER, direction="down"), "ends", "works"),
    Case(Slice(1130), "works", "works"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, cases in (("case", CASES), ("one_of_few", FEW)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, cases, ids=str)


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

    def hangs(self, fault: ActiveFault) -> bool:
        """Whether it is still without a result after a while in which it could have had one.

        The while begins when the fault has met what it does: on a busy machine a thread may take long to begin.
        """
        for _ in range(int(PATIENCE / 0.01)):
            if self._future.done() or fault.met_traffic:
                break
            self._wait(0.01)
        return self._wait(SILENCE)

    def _wait(self, seconds: float) -> bool:
        """Whether it is still without a result after so long."""
        try:
            self._future.exception(seconds)
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

    def expect(self, outcome: Outcome, work: Callable[[], object], fault: ActiveFault | None = None) -> None:
        attempt = self.attempt(work)
        if outcome == "works":
            attempt.result()
        elif outcome == "hangs":
            assert fault is not None
            assert attempt.hangs(fault), f"something came back: {attempt.error()!r}"
            self.hung.append(attempt)
        elif outcome == "damaged":
            assert fault is not None
            # A length that was damaged makes a client wait for bytes that nobody sends, and a slow one looks the same:
            # both are ended while the fault still holds, so that none gets away with a whole answer.
            while attempt.hangs(fault):
                self._link.reset()
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
                story.expect(case.open, exchange, active)
            if case.new is not None:
                story.expect(case.new, story.connect_and_exchange, active)
        # Kernel-refused attempts leave no trace, and an exchange that hangs may hang before it sends.
        assert active.met_traffic or isinstance(case.fault, Refuse)
        for attempt in story.hung:
            if case.healed == "ends":
                story.check_ended(attempt)
            elif case.healed == "works":
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

    ``reconnects=True`` is for a client that by itself replaces a connection which ended while it was idle; ``tls`` is
    that of the link.
    """

    def play(
        upstream: str,
        case: Case,
        open_session: Any,
        errors: tuple[type[BaseException], ...],
        *,
        reconnects: bool = False,
        tls: Any = False,
    ) -> None:
        _play(net.forward(upstream, tls=tls), case, open_session, errors, reconnects)

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
        """The path of a program; the test is skipped where it is not installed."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *folders])
        found = shutil.which(name, path=path)
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found


@pytest.fixture(scope="session")
def helpers() -> type[Helpers]:
    return Helpers
