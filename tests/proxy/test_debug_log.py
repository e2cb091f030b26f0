"""Events at level DEBUG: as they happen, in the caller's thread or one of their own, and never on the proxy's."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_netfault import NetFault, Sever
from pytest_netfault.events import describe


class Keeps(logging.Handler):
    """Keeps all records. That of pytest misses what another thread logs between two phases of a test."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> Iterator[Keeps]:
    """Level DEBUG is on, and all that is logged is kept, from before the other fixtures on."""
    handler, logger = Keeps(), logging.getLogger("pytest_netfault")
    logger.addHandler(handler)
    with caplog.at_level(logging.DEBUG, "pytest_netfault"):
        yield handler
    logger.removeHandler(handler)


def lines(kept: Keeps) -> list[str]:
    return [record.getMessage() for record in kept.records]


def log_threads() -> set[threading.Thread]:
    """All of this process: a proxy of the whole session may have one since an earlier test."""
    return {thread for thread in threading.enumerate() if thread.name == "netfault-log"}


def test_each_event_is_logged_once_in_order_before_the_call_returns(debug: Any, rig: Any, pair: Any) -> None:
    pair.client.sendall(b"hello")
    assert pair.server.recv(5) == b"hello"
    rig.link.sever()
    logged = lines(debug)
    line = test_each_event_is_logged_once_in_order_before_the_call_returns.__code__.co_firstlineno + 3
    applied = f"link1 fault Sever() (tests/proxy/test_debug_log.py:{line})"
    assert logged[-2:] == [applied, "link1 #1 fin by Sever() (up 5 B, down 0 B) both ways"]
    assert logged == [describe(event, since=None) for event in rig.link.events[: len(logged)]]


def test_a_record_has_the_event_and_its_time(debug: Any, rig: Any) -> None:
    rig.link.apply(Sever())
    [record] = (one for one in debug.records if one.name == "pytest_netfault.faults")
    assert record.link_event == rig.link.events[-1]
    assert record.levelno == logging.DEBUG
    assert record.created > 1e9


def test_nothing_is_logged_and_no_thread_starts_while_debug_is_off(caplog: Any, rig: Any) -> None:
    before = log_threads()
    with caplog.at_level(logging.INFO, "pytest_netfault"):
        rig.link.sever()
        rig.link.heal()
    assert [one for one in caplog.records if one.name.startswith("pytest_netfault.")] == []
    assert log_threads() <= before


class Waits(logging.Handler):
    """Waits until it may go on, and notes the thread that it runs in."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.threads.append(threading.current_thread().name)
        self.entered.set()
        self.go_on.wait(30)


@pytest.fixture
def waits(debug: Keeps) -> Iterator[Waits]:
    assert debug is not None  # level DEBUG is on
    handler = Waits()
    logging.getLogger("pytest_netfault").addHandler(handler)
    try:
        yield handler
    finally:
        handler.go_on.set()
        logging.getLogger("pytest_netfault").removeHandler(handler)


def test_a_handler_that_hangs_holds_up_neither_bytes_nor_faults(waits: Waits, rig: Any, pair: Any) -> None:
    assert waits.entered.wait(30)  # nobody calls: the connection is logged by a thread of its own
    pair.client.sendall(b"on")
    assert pair.server.recv(2) == b"on"
    rig.link.sever()
    assert rig.link.events[-1].kind != "accepted"
    waits.go_on.set()
    assert "netfault-proxy" not in waits.threads


def test_a_lock_of_a_handler_that_the_caller_holds_holds_up_no_fault(waits: Waits, rig: Any) -> None:
    """As where a signal handler breaks a link in the middle of a test's own log record."""
    waits.go_on.set()
    waits.acquire()
    try:
        rig.connect()  # which the thread of the log waits to have handled
        rig.link.sever()
        assert "fault" in {event.kind for event in rig.link.events}
    finally:
        waits.release()


@pytest.mark.usefixtures("debug")
def test_the_thread_ends_with_the_proxy() -> None:
    before = log_threads()
    with NetFault() as net:
        net.forward(9).sever()
        [mine] = log_threads() - before
    mine.join(30)
    assert not mine.is_alive()


def test_a_forked_child_does_not_log_again_what_its_parent_has_logged(debug: Any, rig: Any) -> None:
    rig.link.sever()
    child = os.fork()
    if child == 0:
        logged, code = len(lines(debug)), 1
        try:
            with contextlib.suppress(RuntimeError):
                rig.link.heal()
            code = 0 if len(lines(debug)) == logged else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    rig.link.heal()
    assert "link1 heal Sever()" in lines(debug)


def test_ctrl_c_at_the_end_of_its_thread_finds_no_lock_of_threading(
    debug: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler's exception inside ``join`` or ``is_alive`` would leave one held for ever."""
    assert debug is not None  # level DEBUG is on
    waited: list[int] = []

    def noting(name: str) -> Any:
        real = getattr(threading.Thread, name)

        def called(self: threading.Thread, *arguments: Any) -> Any:
            if self.name == "netfault-log":
                waited.append(threading.get_ident())
            return real(self, *arguments)

        return called

    with NetFault() as net:
        net.forward(9).sever()
        for name in ("join", "is_alive"):
            monkeypatch.setattr(threading.Thread, name, noting(name))
    monkeypatch.undo()
    assert waited
    assert threading.get_ident() not in waited
