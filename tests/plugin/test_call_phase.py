"""The faults of a test are healed when its call phase ends, however it ends, before anything is torn down."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

# A client whose close() needs a network that works, as an orderly one does, and a test that leaves a fault in force.
CLIENT = """
    class Client:
        def __init__(self, link):
            self.sock = socket.create_connection((link.host, link.port), timeout=3)
            self.say(b"hello")

        def say(self, text):
            self.sock.sendall(text)
            assert self.sock.recv(20) == text

        def close(self):
            self.say(b"bye")
            self.sock.close()
            print("closed in order", flush=True)

    @pytest.fixture
    def link(netfault, echo):
        return netfault.forward(echo, name="shop")

    @pytest.fixture
    def client(link):
        client = Client(link)
        yield client
        client.close()
"""
# The asyncio client of the tests below says goodbye too, with a bound of its own so that a failure does not hang.
ASYNC_CLIENT = """
    import asyncio
    import pytest

    async def connect(link):
        reader, writer = await asyncio.open_connection(link.host, link.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        return reader, writer

    async def close(reader, writer):
        writer.write(b"bye")
        assert await asyncio.wait_for(reader.readexactly(3), 3) == b"bye"
        writer.close()
        await writer.wait_closed()
        print("closed in order", flush=True)
"""


def _needs(distribution: str) -> None:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "assert 0",
        "pytest.skip('enough')",
        "pytest.xfail('known')",
        "raise KeyboardInterrupt",
        "pytest.exit('enough')",
        "sys.exit(3)",
    ],
)
def test_a_fixture_closes_in_order_however_the_test_ends(sessions: Any, end: str) -> None:
    sessions.conftest(CLIENT)
    sessions.file(
        f"""
        import sys
        import pytest

        def test_it(client, link):
            link.blackhole()
            client.sock.sendall(b"")
            {end}
        """
    )
    result = sessions.run("-s", "-W", "ignore::pytest_netfault.LinkWarning")
    result.stdout.fnmatch_lines(["*closed in order*"])
    if "KeyboardInterrupt" not in end and "pytest.exit" not in end:
        assert "errors" not in result.parseoutcomes()
    if end == "assert 0":
        result.stdout.fnmatch_lines(["shop *, in force: Blackhole()", "*shop heal Blackhole()"])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["(tryfirst=True)", "(trylast=True)", "(wrapper=True)"])
def test_a_fixture_closes_in_order_after_an_exception_of_somebody_elses_hook(sessions: Any, way: str) -> None:
    sessions.conftest(
        CLIENT
        + f"""
    @pytest.hookimpl{way}
    def pytest_runtest_call(item):
        item.funcargs["link"].blackhole()
        {"yield" if "wrapper" in way else "pass"}
        raise OSError("somebody else's")
"""
    )
    sessions.file("def test_it(client, link): pass")
    result = sessions.run("-s")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*closed in order*", "*OSError: somebody else's"])


@pytest.mark.slow
def test_a_set_up_that_fails_is_healed_too(sessions: Any) -> None:
    sessions.conftest(CLIENT)
    sessions.file(
        """
        import pytest

        @pytest.fixture
        def broken(client, link):
            link.blackhole()
            raise OSError("on purpose")

        def test_it(broken): pass
        """
    )
    result = sessions.run("-s")
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(["*closed in order*", "shop *, in force: Blackhole()"])


@pytest.mark.slow
def test_what_other_plugins_do_after_the_call_finds_it_healed(sessions: Any) -> None:
    sessions.conftest(
        CLIENT
        + """
    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(pyfuncitem):
        yield
        pyfuncitem.funcargs["client"].say(b"still there?")
        return True
"""
    )
    sessions.file("def test_it(client, link): link.blackhole(); client.sock.sendall(b'')")
    sessions.run("-W", "ignore::pytest_netfault.LinkWarning").assert_outcomes(passed=1)


@pytest.mark.slow
def test_tear_down_of_a_unittest_class_finds_it_healed(sessions: Any) -> None:
    sessions.conftest(CLIENT)
    sessions.file(
        """
        import unittest
        import pytest

        class Test(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def given(self, netfault, echo):
                self.link = netfault.forward(echo)

            def setUp(self):
                from conftest import Client
                self.client = Client(self.link)

            def tearDown(self):
                self.client.close()

            def test_passes(self):
                self.link.blackhole()

            def test_fails(self):
                self.link.blackhole()
                self.fail("on purpose")

            @unittest.expectedFailure
            def test_known(self):
                self.link.blackhole()
                self.fail("known")

        class Async(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def given(self, netfault, echo):
                self.link = netfault.forward(echo)

            async def asyncSetUp(self):
                from conftest import Client
                self.client = Client(self.link)

            async def asyncTearDown(self):
                self.client.close()

            async def test_async(self):
                self.link.blackhole()
        """
    )
    result = sessions.run("-s", "-W", "ignore::pytest_netfault.LinkWarning")
    result.assert_outcomes(passed=2, failed=1, xfailed=1)
    assert sum("closed in order" in line for line in result.outlines) == 4
    result.stdout.fnmatch_lines(["*AssertionError: on purpose"])
    result.stdout.no_fnmatch_line("*healing.py*")


@pytest.mark.slow
def test_asyncio_fixtures_and_tasks_of_a_loop_find_it_healed(sessions: Any) -> None:
    _needs("pytest-asyncio")
    sessions.file(
        ASYNC_CLIENT
        + """
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def client(netfault, echo):
        link = netfault.forward(echo)
        streams = await connect(link)
        yield link
        await close(*streams)

    async def test_it(client):
        client.blackhole()

    async def test_fails(client):
        client.blackhole()
        assert 0
"""
    )
    options = ("--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    result = sessions.run("-s", *options, "-W", "ignore::pytest_netfault.LinkWarning", plugins=["asyncio"])
    result.assert_outcomes(passed=1, failed=1)
    assert sum("closed in order" in line for line in result.outlines) == 2


@pytest.mark.slow
def test_a_loop_that_ends_within_the_call_finds_it_healed(sessions: Any) -> None:
    """AnyIO closes its loop, and cancels what still runs there, before the call phase ends."""
    _needs("anyio")
    sessions.file(
        ASYNC_CLIENT
        + """
    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    async def service(link, ready):
        streams = await connect(link)
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            await close(*streams)

    @pytest.mark.anyio
    @pytest.mark.parametrize("fails", [False, True])
    async def test_it(netfault, echo, fails):
        link = netfault.forward(echo)
        ready = asyncio.Event()
        test_it.task = asyncio.create_task(service(link, ready))
        await ready.wait()
        link.blackhole()
        assert not fails
"""
    )
    result = sessions.run("-s", "-W", "ignore::pytest_netfault.LinkWarning", plugins=["anyio"])
    result.assert_outcomes(passed=1, failed=1)
    assert sum("closed in order" in line for line in result.outlines) == 2


# The timeout is that of the call alone: the first set-up imports the proxy, which takes as long as it takes.
TIMES_OUT = """
    @pytest.mark.timeout(1, func_only=True)
    def test_sync(client, link):
        link.blackhole()
        try:
            client.sock.settimeout(None)
            client.say(b"anybody?")
        finally:
            client.sock.settimeout(3)
            assert client.sock.recv(8) == b"anybody?"
            print("closed in order", flush=True)

    @pytest.mark.timeout(1, func_only=True)
    def test_loop(netfault, echo):
        link = netfault.forward(echo)

        async def main():
            reader, writer = await connect(link)
            link.blackhole()
            try:
                await reader.read(1)
            finally:
                await close(reader, writer)

        asyncio.run(main())

    @pytest.fixture(scope="module")
    def shared(netfault_factory, echo):
        with netfault_factory() as net:
            yield net.forward(echo)

    @pytest.mark.timeout(1, func_only=True)
    def test_shared(shared):
        sock = socket.create_connection((shared.host, shared.port))
        shared.blackhole()
        try:
            sock.sendall(b"bye")
            sock.recv(1)
        finally:
            sock.settimeout(3)
            assert sock.recv(3) == b"bye"
            print("closed in order", flush=True)

    def test_after(client):
        pass
"""


@pytest.mark.slow
def test_what_a_timeout_interrupts_gets_out(sessions: Any) -> None:
    """Not only fixtures: the test's own ``finally`` and the tasks of its loop need the network, too."""
    _needs("pytest-timeout")
    sessions.conftest(CLIENT)
    sessions.file(ASYNC_CLIENT + "    import socket\n" + TIMES_OUT)
    result = sessions.run("-s", "--timeout-method=signal", plugins=["timeout"])
    result.assert_outcomes(passed=1, failed=3)
    assert sum("closed in order" in line for line in result.outlines) == 5
    assert sum("Failed: Timeout" in line and line.startswith("E ") for line in result.outlines) == 3
    result.stdout.fnmatch_lines(["*in force: Blackhole()*"])


@pytest.mark.slow
def test_each_attempt_is_healed(sessions: Any) -> None:
    _needs("pytest-rerunfailures")
    sessions.conftest(CLIENT)
    sessions.file(
        """
        def test_it(client, link, request):
            link.blackhole()
            client.sock.sendall(b"")
            assert request.node.execution_count == 2
        """
    )
    result = sessions.run(
        "-s", "--reruns=1", "-W", "ignore::pytest_netfault.LinkWarning", plugins=["rerunfailures"]
    )
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    assert sum("closed in order" in line for line in result.outlines) == 2


@pytest.mark.slow
def test_ctrl_c(sessions: Any, read_until: Any, interrupt: Any) -> None:
    sessions.conftest(CLIENT)
    sessions.file(
        """
        import threading

        def test_it(client, link):
            link.blackhole()
            print("now", flush=True)
            while not threading.Event().wait(0.05):  # a signal just before a wait without end would be slept through
                pass
        """
    )
    process = sessions.start("-s")
    read_until(process, "now$")
    assert "closed in order" in interrupt(process)
    assert process.returncode == pytest.ExitCode.INTERRUPTED


@pytest.mark.slow
def test_a_cluster_is_whole_again_before_its_clients_close(sessions: Any) -> None:
    sessions.conftest(
        """
        @pytest.fixture
        def client(etcd_cluster):
            yield
            print("parted at the end:", [link.name for link in etcd_cluster.links.values() if faults(link)])

        def faults(link):
            kinds = [event.kind for event in link.events]
            return kinds.count("fault") - kinds.count("heal")
        """
    )
    sessions.file(
        """
        def test_it(client, etcd_cluster):
            leader = etcd_cluster.leader()
            etcd_cluster.partition([leader], [name for name in etcd_cluster.members if name != leader])
        """
    )
    result = sessions.run("-s", "-rs", "-W", "ignore::pytest_netfault.LinkWarning")
    if "skipped" in result.parseoutcomes():
        pytest.skip("there is no etcd to make a cluster of")
    result.stdout.fnmatch_lines(["*parted at the end: [[]]*"])
