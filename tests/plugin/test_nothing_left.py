"""However a session ends, no port is open and no process runs afterwards."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import EtcdBinary, find_etcd

pytestmark = pytest.mark.slow

# A test that has everything open, says so, and then does what each test below wants.
BUSY = """
    import os
    import socket
    import sys
    import threading

    def test_busy(netfault, netfault_factory, etcd_server, echo):
        link = netfault.forward(etcd_server.address)
        other = netfault_factory().forward(echo)
        with socket.create_connection((link.host, link.port)) as client:
            link.wait_for_connection()
            link.blackhole()
            other.refuse()
            print("open:", link.port, other.port, etcd_server.pid, flush=True)
            END

    def test_after():
        print("went on", flush=True)
"""
# In short waits: a signal that comes just before one without end is slept through.
FOR_EVER = "while not threading.Event().wait(0.05): pass"


@pytest.fixture(scope="module")
def etcd_option() -> str:
    """The etcd of this machine, named, so that the sessions need not look for it."""
    try:
        source = find_etcd()
    except ServerError as error:
        pytest.skip(f"a session with an etcd cannot be watched: {error}")
    if not isinstance(source, EtcdBinary):
        pytest.skip("the etcd of this machine runs in Docker, whose containers have tests of their own")
    return f"--netfault-etcd={source.path}"


@pytest.fixture
def busy(sessions: Any, etcd_option: str, read_until: Any, refuses: Any, await_end: Any) -> Any:
    """Start a busy session; give its process, and a function that asserts that nothing is left of it."""

    def start(end: str, *options: str) -> Any:
        sessions.file(BUSY.replace("END", end))
        process = sessions.start("-s", etcd_option, *options)
        link, other, etcd = map(int, read_until(process, r"open: (\d+) (\d+) (\d+)").groups())

        def nothing_left() -> None:
            await_end(process.pid)
            await_end(etcd)
            assert refuses(link)
            assert refuses(other)

        return process, nothing_left

    return start


def test_ctrl_c(busy: Any, interrupt: Any) -> None:
    process, nothing_left = busy(FOR_EVER)
    output = interrupt(process)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in output
    assert "netfault: seed" in output, "what was done is summed up all the same"
    assert "went on" not in output
    nothing_left()


def test_ctrl_c_in_a_wait_of_ours(busy: Any, interrupt: Any) -> None:
    process, nothing_left = busy("link.wait_for_bytes(1000, timeout=3600)")
    interrupt(process)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    nothing_left()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_that_gives_no_time(busy: Any, number: signal.Signals) -> None:
    process, nothing_left = busy(FOR_EVER)
    process.send_signal(number)
    assert process.wait(timeout=30) == -number
    nothing_left()


@pytest.mark.parametrize("end", ["os._exit(7)", "os.abort()"])
def test_an_end_without_teardown(busy: Any, end: str) -> None:
    process, nothing_left = busy(end, "-p", "no:faulthandler")
    assert process.wait(timeout=30) == (7 if "exit" in end else -signal.SIGABRT)
    nothing_left()


@pytest.mark.parametrize(
    "end", ["sys.exit(3)", "pytest.exit('enough')", "raise KeyboardInterrupt", "assert 0"]
)
def test_an_end_in_order(busy: Any, end: str) -> None:
    process, nothing_left = busy(f"import pytest; {end}")
    process.communicate(timeout=30)
    nothing_left()


def test_a_broken_fixture_does_not_keep_the_rest_open(busy: Any, sessions: Any) -> None:
    sessions.conftest(
        """
        @pytest.fixture(autouse=True, scope="session")
        def broken(netfault_factory, etcd_server):
            yield
            raise OSError("the teardown of somebody else")
        """
    )
    process, nothing_left = busy("pass")
    output, _ = process.communicate(timeout=30)
    assert "OSError: the teardown of somebody else" in output
    nothing_left()


def test_a_forked_child_holds_nothing_open(sessions: Any) -> None:
    sessions.file(
        """
        import os
        import socket
        import pytest

        child = []

        def test_forks(netfault, echo, talk):
            link = netfault.forward(echo)
            talk(link)
            link.blackhole("up")
            ours, theirs = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(theirs)
                os.read(ours, 1)        # lives on until the parent is done
                os._exit(0)
            os.close(ours)
            child.extend([link.port, pid, theirs])
            link.heal()
            assert talk(link) == b"hello"

        def test_its_port_is_free_while_the_child_lives(netfault, echo, talk):
            port, pid, end = child
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            assert talk(netfault.forward(echo)) == b"hello"
            os.close(end)
            assert os.waitpid(pid, 0) == (pid, 0)
        """
    )
    # Python may warn of a fork beside threads, and the silence may have met an ending or not.
    sessions.run("-W", "ignore").assert_outcomes(passed=2)


def test_a_forked_child_is_a_client_like_any_other(sessions: Any) -> None:
    sessions.file(
        """
        import multiprocessing
        import pytest
        from pytest_netfault import NetFaultClosed

        def child(link, talk):
            assert talk(link) == b"hello"
            with pytest.raises(NetFaultClosed):
                link.sever()            # the link belongs to the parent

        def test_it(netfault, echo, talk):
            link = netfault.forward(echo)
            process = multiprocessing.get_context("fork").Process(target=child, args=(link, talk))
            process.start()
            process.join()
            assert process.exitcode == 0
            link.wait_for_connection()
            assert talk(link) == b"hello"
        """
    )
    sessions.run("-W", "ignore::DeprecationWarning").assert_outcomes(passed=1)


def test_a_forked_child_that_runs_the_teardown_ends_only_what_is_its_own(
    sessions: Any, etcd_option: str
) -> None:
    sessions.file(
        """
        import os
        import pytest

        def test_it(netfault, etcd_server, talk, echo, pytestconfig):
            link = netfault.forward(echo)
            before = etcd_server.revision()
            pid = os.fork()
            if pid == 0:
                try:
                    netfault.close()
                    from pytest_netfault import plugin
                    plugin.pytest_unconfigure(pytestconfig)
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(pid, 0) == (pid, 0)
            assert talk(link) == b"hello"
            assert etcd_server.revision() == before
        """
    )
    sessions.run(etcd_option, "-W", "ignore::DeprecationWarning").assert_outcomes(passed=1)


@pytest.fixture
def ignoring() -> Iterator[None]:
    """As under ``nohup``, or as a background job of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignoring")
def test_ctrl_c_where_the_tests_themselves_ignore_it(busy: Any, interrupt: Any) -> None:
    """The suite runs under ``nohup`` as well: whoever is to be interrupted has the signal's default back."""
    process, nothing_left = busy(FOR_EVER)
    assert "KeyboardInterrupt" in interrupt(process)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    nothing_left()


@pytest.mark.usefixtures("ignoring")
def test_nothing_is_kept_where_nobody_could_end_it(sessions: Any, etcd_option: str) -> None:
    sessions.file(
        """
        def test_it(etcd_server):
            assert 0
        """
    )
    result = sessions.run("--netfault-keep=on-failure", etcd_option)  # which inherits it
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["netfault: no server is kept, because Ctrl-C is ignored here *"])
