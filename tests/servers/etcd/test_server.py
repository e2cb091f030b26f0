"""A real etcd of each version at hand: its truth, and what can be done to it."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.servers.errors import ServerError, ServerUnreachable
from pytest_netfault.servers.etcd import collector as collector_module
from pytest_netfault.servers.etcd import server as etcd_module
from pytest_netfault.servers.etcd.collector import Collector
from pytest_netfault.servers.etcd.gateway import Gateway
from pytest_netfault.servers.etcd.log import LogEvent, LogRevision
from pytest_netfault.servers.etcd.server import COMPACTION_KEY, AttachedEtcd, EtcdServer, parse_address
from pytest_netfault.servers.ports import ReservedPort


def _put(key: bytes, value: bytes) -> LogEvent:
    return LogEvent("put", key, value)


def test_a_started_etcd_is_empty_and_tells_what_it_is(etcd: EtcdServer) -> None:
    assert etcd.revision() == 1
    assert etcd.log(0) == []
    assert etcd.address == f"127.0.0.1:{etcd.port}"
    assert (etcd.host, etcd.port) == parse_address(etcd.address)
    assert [part.isdigit() for part in etcd.version.split(".")] == [True] * 3
    assert repr(etcd) == f"etcd-{etcd.port}"


def test_the_log_is_what_was_committed(etcd: EtcdServer, writer: Any) -> None:
    writer.put(b"a", b"1")
    writer.put(b"b", b"")
    writer.delete(b"a")
    writer.delete(b"never there")  # changes nothing, so it is no revision
    writer.transaction({b"c": b"\xff\x00", b"d": b"4"}, [b"b"])
    assert etcd.revision() == 5
    assert etcd.log(0) == [
        LogRevision(2, (_put(b"a", b"1"),)),
        LogRevision(3, (_put(b"b", b""),)),
        LogRevision(4, (LogEvent("delete", b"a", None),)),
        LogRevision(5, (_put(b"c", b"\xff\x00"), _put(b"d", b"4"), LogEvent("delete", b"b", None))),
    ]
    assert [entry.revision for entry in etcd.log(3)] == [4, 5]
    assert etcd.log(5) == []


def test_the_log_is_whole_after_a_compaction(etcd: EtcdServer, writer: Any) -> None:
    writer.put(b"a", b"1")
    writer.delete(b"a")
    compacted = etcd.compact()
    assert compacted == 4
    # The store itself has forgotten ...
    with pytest.raises(ServerUnreachable, match="compacted"):
        writer.compact(compacted)
    # ... and the log has not.
    writer.put(b"a", b"2")
    assert etcd.log(0) == [
        LogRevision(2, (_put(b"a", b"1"),)),
        LogRevision(3, (LogEvent("delete", b"a", None),)),
        LogRevision(4, (_put(COMPACTION_KEY, b""),)),
        LogRevision(5, (_put(b"a", b"2"),)),
    ]


@pytest.mark.slow
def test_a_restart_keeps_address_data_and_log(etcd: EtcdServer, writer: Any) -> None:
    address, before = etcd.address, etcd.pid
    writer.put(b"a", b"1")
    etcd.restart()
    assert etcd.address == address
    assert etcd.pid not in (before, None)
    assert writer.put(b"a", b"2") == 3
    etcd.compact()
    etcd.restart()
    writer.delete(b"a")
    assert [entry.revision for entry in etcd.log(0)] == [2, 3, 4, 5]
    assert etcd.log(4) == [LogRevision(5, (LogEvent("delete", b"a", None),))]


def test_the_log_is_read_before_the_store_forgets(etcd: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, int]] = []
    wait_for, compact = Collector.wait_for, Gateway.compact

    def waits(collector: Collector, revision: int) -> None:
        wait_for(collector, revision)
        steps.append(("held", revision))

    def compacts(gateway: Gateway, revision: int) -> None:
        compact(gateway, revision)
        steps.append(("compacted", revision))

    monkeypatch.setattr(Collector, "wait_for", waits)
    monkeypatch.setattr(Gateway, "compact", compacts)
    assert etcd.compact() == 2
    assert steps == [("held", 2), ("compacted", 2)]


def test_the_log_goes_on_as_soon_as_a_restarted_etcd_serves(
    etcd: EtcdServer, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector_module, "_FIRST_PAUSE", 60.0)
    monkeypatch.setattr(collector_module, "_LONGEST_PAUSE", 60.0)
    writer.put(b"a", b"1")
    etcd.log(0)  # a stream that brought something is followed by the first pause
    etcd.restart()
    writer.put(b"a", b"2")
    assert len(etcd.log(0)) == 2


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_restarts(etcd: EtcdServer, writer: Any) -> None:
    for number in range(10):
        acknowledged = writer.put(b"n", b"%d" % number)
        etcd.restart()
        assert etcd.revision() == acknowledged
    assert [entry.events[0].value for entry in etcd.log(0)] == [b"%d" % number for number in range(10)]


@pytest.mark.slow
def test_a_backlog_of_many_megabytes_is_read_whole(etcd: EtcdServer, writer: Any) -> None:
    assert etcd._collector is not None
    etcd._collector.close()  # nobody reads meanwhile
    value = b"x" * 500_000
    for number in range(12):
        writer.transaction({b"a%d" % number: value, b"b%d" % number: value}, [])
    etcd._begin_log(after_revision=1)
    log = etcd.log(0)
    assert [entry.revision for entry in log] == list(range(2, 14))
    assert all([event.value for event in entry.events] == [value, value] for entry in log)


def test_writes_from_many_sides_make_one_log(etcd: EtcdServer, write_to: Callable[[EtcdServer], Any]) -> None:
    acknowledged: list[int] = []

    def write(number: int) -> None:
        acknowledged.extend(write_to(etcd).put(b"k%d" % number, b"v") for _ in range(20))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(acknowledged) == [entry.revision for entry in etcd.log(0)] == list(range(2, 82))


def test_a_killed_etcd_refuses_and_comes_back(etcd: EtcdServer, writer: Any) -> None:
    writer.put(b"a", b"1")
    etcd.kill()
    etcd.kill()
    assert etcd.pid is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((etcd.host, etcd.port)).close()
    with pytest.raises(ServerUnreachable, match="refused"):
        etcd.log(0)
    with pytest.raises(ServerError, match=r"etcd-\d+ is not running"):
        etcd.pause()
    assert etcd.start() is etcd
    assert etcd.start() is etcd
    assert [entry.revision for entry in etcd.log(0)] == [2]


def test_a_paused_etcd_is_silent_until_it_is_resumed(etcd: EtcdServer, writer: Any) -> None:
    etcd.pause()
    etcd.pause()
    with socket.create_connection((etcd.host, etcd.port)):  # the kernel still takes connections
        with pytest.raises(ServerUnreachable, match=r"no answer within 0.05 s"):
            etcd.revision(timeout=0.05)
        with pytest.raises(ServerUnreachable, match=r"no answer within 0.05 s"):
            etcd.log(0, timeout=0.05)
    etcd.resume()
    etcd.resume()
    assert writer.put(b"a", b"1") == 2
    assert len(etcd.log(0)) == 1


def test_a_paused_etcd_can_be_restarted_and_closed(etcd: EtcdServer) -> None:
    etcd.pause()
    etcd.restart()
    assert etcd.revision() == 1
    etcd.pause()
    etcd.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((etcd.host, etcd.port)).close()


def test_close_leaves_nothing_and_says_so_later(
    any_binary: Path, wait_for_end: Callable[[int], None]
) -> None:
    threads = set(threading.enumerate())
    descriptors = set(Path("/proc/self/fd").iterdir())
    server = EtcdServer(any_binary).start()
    pid, directory = server.pid, server._directory
    assert pid is not None
    assert directory is not None
    assert directory.path.is_dir()
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 1
    server.close()
    wait_for_end(pid)
    assert not directory.path.exists()
    assert server.output() == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port)).close()
    for call in (server.revision, lambda: server.log(0), server.compact):
        with pytest.raises(ServerError, match=r"etcd-\d+ is not started, or closed"):
            call()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
    assert set(threading.enumerate()) == threads
    assert set(Path("/proc/self/fd").iterdir()) == descriptors


def test_a_closed_etcd_can_be_started_anew(any_binary: Path) -> None:
    server = EtcdServer(any_binary)
    with server:
        server._gateway.put(b"a", b"1")
    with server:
        assert server.revision() == 1
        assert server.log(0) == []


def test_what_it_printed_can_be_shown(etcd: EtcdServer) -> None:
    assert "serving" in etcd.output(100)
    assert len(etcd.output(2).splitlines()) == 2


def test_more_flags_are_passed_on(any_binary: Path) -> None:
    with EtcdServer(any_binary, flags=["--max-txn-ops=1"]) as server:
        operation = {"request_put": {"key": "azE=", "value": "azE="}}
        second = {"request_put": {"key": "azI=", "value": "azE="}}
        with pytest.raises(ServerUnreachable, match="too many operations"):
            server._gateway.call("/v3/kv/txn", {"success": [operation, second]})
    with pytest.raises(TypeError, match="flags must be a list of strings, not '--x'"):
        EtcdServer(any_binary, flags="--x")


def test_variables_of_an_operator_do_not_reach_it(any_binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_NAME", "production")
    monkeypatch.setenv("ETCD_LISTEN_CLIENT_URLS", "http://127.0.0.1:1")
    with EtcdServer(any_binary) as server:
        assert server.revision() == 1
        assert "production" not in server.output(1000)


@pytest.mark.parametrize(
    ("binary", "flags", "message"),
    [
        (
            "/nowhere/etcd",
            [],
            "ended with exit code 1 .*\n/nowhere/etcd cannot be run: No such file or directory",
        ),
        ("/bin/false", [], "/bin/false ended with exit code 1 before it served; it printed nothing"),
        (
            None,
            ["--no-such-flag"],
            "ended with exit code 2 before it served; the last that it printed:\n(.*\n)*.*no-such-flag",
        ),
    ],
)
def test_a_start_that_fails_says_why_and_leaves_nothing(
    any_binary: Path,
    binary: str | None,
    flags: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the machine's own is shared with other sessions
    threads = set(threading.enumerate())
    with pytest.raises(ServerError, match=message):
        EtcdServer(binary or any_binary, flags=flags).start()
    assert list(tmp_path.iterdir()) == []
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_start_that_takes_too_long_says_so(tmp_path: Path) -> None:
    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\necho thinking\nexec cat /dev/zero > /dev/null\n")
    stuck.chmod(0o755)
    with pytest.raises(ServerError, match=r"did not serve within 0.5 s \(.*refused\); the last .*\nthinking"):
        EtcdServer(stuck, start_timeout=0.5).start()


@pytest.mark.slow
def test_a_port_that_was_taken_is_replaced(any_binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[socket.socket] = []

    class Contested(ReservedPort):
        """Reserves a port, but someone who insists on this very number comes first."""

        def __init__(self, host: str) -> None:
            super().__init__(host)
            if not taken:
                thief = socket.create_server((host, self.number))
                taken.append(thief)

    monkeypatch.setattr(etcd_module, "ReservedPort", Contested)
    with EtcdServer(any_binary) as server:
        assert server.port != taken[0].getsockname()[1]
        assert server.revision() == 1
    taken[0].close()


def test_the_port_stays_ours_while_it_is_down(etcd: EtcdServer) -> None:
    etcd.kill()
    with socket.socket() as thief:
        with pytest.raises(OSError, match="in use"):
            thief.bind((etcd.host, etcd.port))
    etcd.start()


# -- attached -----------------------------------------------------------------------------------------------


def test_an_attached_etcd_is_read_from_now_on(etcd: EtcdServer, writer: Any) -> None:
    writer.put(b"a", b"1")
    with AttachedEtcd(etcd.address) as attached:
        assert attached.address == etcd.address
        assert attached.version == etcd.version
        assert attached.log(2) == []
        writer.put(b"a", b"2")
        assert attached.log(2) == [LogRevision(3, (_put(b"a", b"2"),))]
        with pytest.raises(ValueError, match="after_revision=1 is too early"):
            attached.log(1)
        for harm in ("restart", "kill", "pause", "resume", "compact"):
            assert not hasattr(attached, harm)
    attached.close()
    assert etcd.revision() == 3  # it lives on
    with pytest.raises(ServerError, match="closed"):
        attached.revision()


def test_an_attached_etcd_is_compacted_only_if_asked_for(etcd: EtcdServer, writer: Any) -> None:
    writer.put(b"a", b"1")
    with AttachedEtcd(etcd.address, compact=True) as attached:
        assert attached.compact() == 3
        assert [entry.revision for entry in attached.log(2)] == [3]


def test_a_replaced_store_is_found_out(
    etcd: EtcdServer, etcd_binary: Path, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.put(b"a", b"1")
    writer.put(b"a", b"2")
    with AttachedEtcd(etcd.address) as attached:
        writer.put(b"a", b"3")
        assert len(attached.log(3)) == 1
        port = etcd.port
        etcd.close()

        class Same(ReservedPort):
            def __init__(self, host: str) -> None:
                super().__init__(host)
                monkeypatch.undo()
                self.close()
                self.number = port

        monkeypatch.setattr(etcd_module, "ReservedPort", Same)
        with EtcdServer(etcd_binary) as other:
            assert other.port == port
            with pytest.raises(ServerError, match="is at revision 1 but had shown revision 4 before"):
                attached.log(3)


def test_nothing_to_attach_to_is_said() -> None:
    with (
        ReservedPort() as port,
        pytest.raises(ServerUnreachable, match="did not answer /version: Connection refused"),
    ):
        AttachedEtcd(f"127.0.0.1:{port.number}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        ":2379",
        "h:",
        "h:x",
        "h:0",
        "h:65536",
        "h:1.0",
        "h:²",
        "::1:2379",
        "[h]:1",
        "http://h:1",
        "a b:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address: write host:port, such as 127.0.0.1:2379"):
        parse_address(text)
