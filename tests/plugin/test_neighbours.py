"""Beside the plugins and the options that suites are really run with."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# A test that succeeds, two that fail with a fault in force, and the proof that the failures left nothing.
SUITE = """
    import socket
    import pytest

    ports = []

    def free():
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))

    @pytest.fixture
    def link(netfault, echo):
        free()
        link = netfault.forward(echo)
        ports.append(link.port)
        return link

    def test_passes(link, talk):
        assert talk(link, b"x" * 100_000) == b"x" * 100_000
        with link.refuse():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((link.host, link.port))
        assert talk(link) == b"hello"

    def test_fails(link):
        link.sever()
        assert False, "on purpose"

    @pytest.fixture
    def broken(link):
        link.stall_accept()
        raise OSError("on purpose")

    def test_errs(broken):
        pass

    def test_passes_again(link, talk):
        assert talk(link) == b"hello"
"""
OUTCOMES = {"passed": 2, "failed": 1, "errors": 1}


def _needs(distribution: str) -> None:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed: it is one of tests/requirements.txt")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-W", "error"),
        ("--strict-markers", "--strict-config"),
        ("--assert=plain",),
        ("-p", "no:cacheprovider"),
        ("-p", "no:terminal"),
        ("--import-mode=importlib",),
        ("--capture=no",),
        ("--tb=native",),
        ("--tb=line", "-v"),
        ("-p", "no:warnings"),
        ("-p", "no:threadexception", "-p", "no:unraisableexception"),
    ],
    ids=" ".join,
)
def test_pytest_itself(sessions: Any, options: tuple[str, ...]) -> None:
    sessions.file(SUITE)
    result = sessions.run(*options)
    if "no:terminal" in options:
        assert (result.ret, result.outlines) == (pytest.ExitCode.TESTS_FAILED, [])
    else:
        result.assert_outcomes(**OUTCOMES)


def test_stopping_at_the_first_failure(sessions: Any) -> None:
    sessions.file(SUITE)
    result = sessions.run("-x")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*in force: Sever()*", "netfault: *", "*stopping after 1 failures*"])


@pytest.mark.parametrize("options", [("-n2",), ("-n2", "--dist=loadfile"), ("-n1", "-x")], ids=" ".join)
def test_xdist(sessions: Any, options: tuple[str, ...]) -> None:
    _needs("pytest-xdist")
    sessions.file(SUITE)
    result = sessions.run(*options, "-W", "error", plugins=["xdist"])
    if "-x" in options:
        assert result.parseoutcomes()["failed"] == 1
    else:
        result.assert_outcomes(**OUTCOMES)


def test_all_workers_of_xdist_have_the_seed_of_the_controller(sessions: Any) -> None:
    _needs("pytest-xdist")
    sessions.file(
        """
        import os
        import pathlib
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(netfault, number):
            worker = os.environ["PYTEST_XDIST_WORKER"]
            pathlib.Path(f"{worker}-{number}.seed").write_text(f"{worker} {netfault.seed}")
        """
    )
    result = sessions.run("-n2", "--dist=load", plugins=["xdist"])
    result.assert_outcomes(passed=6)
    told = [path.read_text().split() for path in sessions.pytester.path.glob("*.seed")]
    assert {worker for worker, _ in told} == {"gw0", "gw1"}
    (seed,) = {seed for _, seed in told}
    result.stdout.fnmatch_lines([f"netfault: seed {seed}, no links, no faults"])


def test_the_counts_of_a_worker_that_crashed_are_said_to_be_missing(sessions: Any) -> None:
    _needs("pytest-xdist")
    sessions.file(
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(netfault, echo, talk, number):
            talk(netfault.forward(echo))
            if number == 1:
                os._exit(1)
        """
    )
    result = sessions.run("-n1", plugins=["xdist"])
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["netfault: seed *, 2 links, no faults (without gw0, which crashed)"])


# The limit holds for the function alone: the first set-up imports the proxy, which takes as long as it takes.
HANGS = """
    import socket
    import pytest

    @pytest.mark.timeout(2, func_only=True)
    def test_hangs(netfault, echo):
        link = netfault.forward(echo)
        with socket.create_connection((link.host, link.port)) as client:
            link.wait_for_connection()
            print("port", link.port, flush=True)
            link.blackhole()
            client.sendall(b"anybody?")
            client.recv(1)          # for ever

    def test_after(netfault, echo, talk):
        assert talk(netfault.forward(echo)) == b"hello"
"""


def _port(result: pytest.RunResult) -> int:
    return int(next(line for line in result.outlines if "port " in line and "print" not in line).split()[-1])


def test_timeout_by_signal(sessions: Any, refuses: Any) -> None:
    _needs("pytest-timeout")
    sessions.file(HANGS)
    result = sessions.run("-s", "--timeout-method=signal", plugins=["timeout"])
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Failed: Timeout*", "*- netfault -*", "*in force: Blackhole()*"])
    assert refuses(_port(result))


def test_timeout_by_thread(sessions: Any, refuses: Any) -> None:
    _needs("pytest-timeout")
    sessions.file(HANGS)
    result = sessions.run("-s", "--timeout-method=thread", plugins=["timeout"])
    assert result.ret == 1
    assert "passed" not in result.stdout.str(), "that method ends the process"
    assert refuses(_port(result))


def test_rerunfailures(sessions: Any) -> None:
    _needs("pytest-rerunfailures")
    sessions.file(
        """
        def test_it(netfault, echo, talk, request):
            link = netfault.forward(echo)
            assert talk(link) == b"hello"
            link.sever()
            assert request.node.execution_count == 3

        def test_fails(netfault, echo):
            netfault.forward(echo).sever()
            assert 0
        """
    )
    result = sessions.run("--reruns=2", "--netfault-output=out", plugins=["rerunfailures"])
    result.assert_outcomes(passed=1, failed=1)
    assert result.parseoutcomes()["rerun"] == 4
    result.stdout.fnmatch_lines(["*- netfault -*", "attempt 3"])
    folders = sorted(path.name for path in (sessions.pytester.path / "out").iterdir() if path.is_dir())
    assert len(folders) == 5
    assert sum(name.endswith("-attempt2") for name in folders) == 2
    result.stdout.fnmatch_lines(["netfault: *6 links, 6 faults*"])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_randomly(sessions: Any, seed: int) -> None:
    _needs("pytest-randomly")
    sessions.file(SUITE)
    result = sessions.run("-p", "randomly", f"--randomly-seed={seed}", "-W", "error")
    result.assert_outcomes(**OUTCOMES)


def test_a_fixed_seed_of_randomly_does_not_fix_ours(sessions: Any) -> None:
    _needs("pytest-randomly")
    sessions.file("def test_it(netfault): print('seed is', netfault.seed)")
    runs = [sessions.run("-s", "-p", "randomly", "--randomly-seed=1") for _ in range(2)]
    seeds = [line for run in runs for line in run.outlines if "seed is" in line]
    assert len(set(seeds)) == 2


ASYNC = """
    import asyncio
    import pytest

    async def ask(link):
        reader, writer = await asyncio.open_connection(link.host, link.port)
        writer.write(b"hello")
        heard = await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()
        return heard

    MARK
    async def test_it(netfault, echo):
        link = netfault.forward(echo)
        assert await ask(link) == b"hello"
        with link.refuse():
            with pytest.raises(ConnectionRefusedError):
                await ask(link)
        assert await ask(link) == b"hello"

    def test_plain(netfault, echo, talk):
        assert talk(netfault.forward(echo)) == b"hello"
"""
QUIET_ASYNCIO = ("-o", "asyncio_default_fixture_loop_scope=function")


def test_asyncio_in_auto_mode(sessions: Any) -> None:
    _needs("pytest-asyncio")
    sessions.file(ASYNC.replace("MARK", ""))
    result = sessions.run("--asyncio-mode=auto", "-W", "error", *QUIET_ASYNCIO, plugins=["asyncio"])
    result.assert_outcomes(passed=2)


def test_anyio(sessions: Any) -> None:
    _needs("anyio")
    sessions.file(
        """
        import anyio
        import pytest

        @pytest.mark.anyio
        async def test_it(netfault, echo, anyio_backend_name):
            link = netfault.forward(echo)
            async with await anyio.connect_tcp(link.host, link.port) as stream:
                await stream.send(b"hello")
                assert await stream.receive() == b"hello"
                with link.sever():
                    with pytest.raises(anyio.EndOfStream):
                        await stream.receive()
        """
    )
    result = sessions.run("-v", "-W", "error", plugins=["anyio"])
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines_random(["*test_it?asyncio? PASSED*", "*test_it?trio? PASSED*"])


def test_asyncio_and_anyio_together(sessions: Any) -> None:
    _needs("pytest-asyncio")
    _needs("anyio")
    sessions.file(ASYNC.replace("MARK", "@pytest.mark.anyio"))
    result = sessions.run("--asyncio-mode=auto", *QUIET_ASYNCIO, plugins=["asyncio", "anyio"])
    assert result.ret == pytest.ExitCode.OK  # which of the two runs the test is theirs to settle


def test_socket_that_blocks_all_is_named_with_its_remedy(sessions: Any) -> None:
    _needs("pytest-socket")
    sessions.file(
        """
        import pytest

        def test_blocked(netfault):
            netfault.forward(("127.0.0.1", 9))

        def test_of_somebody_else():
            import socket
            socket.socket()

        @pytest.mark.enable_socket
        def test_enabled(netfault):
            netfault.forward(("127.0.0.1", 9))
        """
    )
    result = sessions.run("--disable-socket", plugins=["pytest_socket"])
    assert result.parseoutcomes()["passed"] == 1
    told = [
        line for line in result.outlines if line.startswith("pytest-socket blocks the sockets of the proxy")
    ]
    assert len(told) == 1
    result = sessions.run("--allow-hosts=127.0.0.1", plugins=["pytest_socket"])
    result.assert_outcomes(passed=3)


def test_unittest_classes(sessions: Any) -> None:
    sessions.file(
        """
        import unittest
        import pytest

        class Test(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def given(self, netfault, echo, talk):
                self.link, self.talk = netfault.forward(echo), talk

            def test_it(self):
                assert self.talk(self.link) == b"hello"

            def test_fails(self):
                self.link.sever()
                self.fail("on purpose")
        """
    )
    result = sessions.run("-W", "error")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*in force: Sever()*"])


def test_everything_at_once(sessions: Any) -> None:
    wanted = (
        "pytest-xdist",
        "pytest-timeout",
        "pytest-rerunfailures",
        "pytest-asyncio",
        "anyio",
        "hypothesis",
    )
    for distribution in wanted:
        _needs(distribution)
    sessions.file(SUITE)
    names = ["xdist", "timeout", "rerunfailures", "asyncio", "anyio", "hypothesispytest"]
    options = ["-n2", "--timeout=60", "--reruns=1", "--asyncio-mode=auto", *QUIET_ASYNCIO]
    result = sessions.run(*options, plugins=names)
    result.assert_outcomes(**OUTCOMES)
    assert result.parseoutcomes()["rerun"] == 2
