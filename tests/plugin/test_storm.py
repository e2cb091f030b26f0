"""``pytest --netfault-storm``: whole sessions over suites that are right, wrong, or only look odd."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.slow

# What the suites share: a server that answers lines and counts additions, and clients of it, good and bad.
CONFTEST = '''
import pytest_netfault.storm.remains

pytest_netfault.storm.remains._SETTLE_SECONDS = 0.5  # where a leak is a leak at once


class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            for line in self.rfile:
                if line == b"add\\n":
                    self.server.total += 1
                    line = b"%d\\n" % self.server.total
                self.wfile.write(line)
        except OSError:
            pass


class LineServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    total = 0


@pytest.fixture(scope="session")
def server():
    with LineServer(("127.0.0.1", 0), Lines) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def link(netfault, server):
    return netfault.forward(server.server_address)


class Client:
    """Asks once; without a timeout it waits for ever."""

    def __init__(self, link, timeout=None):
        self.address, self.timeout, self.sock = (link.host, link.port), timeout, None

    def connect(self):
        self.sock = socket.create_connection(self.address, timeout=self.timeout)
        self.file = self.sock.makefile("rb")

    def ask(self, line):
        if self.sock is None:
            self.connect()
        self.sock.sendall(line + b"\\n")
        answer = self.file.readline()
        if not answer.endswith(b"\\n"):
            raise ConnectionResetError("closed by the server")
        return answer.strip()

    def close(self):
        if self.sock is not None:
            self.file.close()
            self.sock.close()
            self.sock = None


class Retrying(Client):
    """Asks again on a new connection."""

    def __init__(self, link):
        super().__init__(link, timeout=1.0)

    def ask(self, line):
        for _ in range(8):
            try:
                return super().ask(line)
            except OSError:
                self.close()
        raise ConnectionError("given up")


@pytest.fixture
def make(link):
    made = []

    def make(kind, **arguments):
        made.append(kind(link, **arguments))
        return made[-1]

    make.client, make.retrying = Client, Retrying
    yield make
    for client in made:
        client.close()
'''

MISTAKES = """
    import socket
    import pytest

    @pytest.mark.netfault_storm(places=2)
    def test_undeclared(make):
        assert make(make.client).ask(b"one") == b"one"

    @pytest.mark.netfault_storm(places=4, seconds=1, allow=OSError)
    def test_hangs(make):
        assert make(make.client).ask(b"one") == b"one"

    @pytest.mark.netfault_storm(places=2, allow=(OSError,))
    def test_takes_an_error_for_an_answer(make):
        def lookup():
            try:
                return make(make.client).ask(b"one")
            except OSError:
                return b"no such thing"
        assert lookup() == b"one"

    forgotten = []

    @pytest.mark.netfault_storm(places=1)
    def test_leaks(make):
        client = make(make.client)
        try:
            client.ask(b"one")
        except OSError:
            forgotten.append((client.sock, client.file))
            client.sock = None

    @pytest.mark.netfault_storm(places=4)
    def test_adds_twice(make, server):
        before = server.total
        make(make.retrying).ask(b"add")
        assert server.total == before + 1
"""

ROBUST = """
    import socket
    import threading
    import unittest
    import pytest

    pytestmark = pytest.mark.netfault_storm(places=2)

    @pytest.mark.netfault_storm(places=10)
    def test_at_every_place(make):
        assert make(make.retrying).ask(b"one") == b"one"

    @pytest.mark.netfault_storm(places=4, allow=("ConnectionError", "builtins.TimeoutError"))
    def test_says_that_it_could_not(make):
        client = make(make.client, timeout=1.0)
        try:
            answer = client.ask(b"one")
        except OSError as error:
            pytest.fail(f"no answer: {error}")
        assert answer == b"one"

    left = []

    def test_leaves_something_each_time(link, make):
        left.append(socket.socket())
        assert make(make.retrying).ask(b"one") == b"one"

    @pytest.mark.parametrize("line", [b"one", b"a-b]"], ids=["one", "a-b]"])
    def test_parametrized(make, line):
        assert make(make.retrying).ask(line) == line

    def test_skips_itself_without_an_answer(make):
        try:
            make(make.client, timeout=1.0).ask(b"one")
        except OSError:
            pytest.skip("nobody answers")

    @pytest.fixture(scope="session")
    def pool(netfault_factory, server):
        with netfault_factory() as net:
            made = []
            class Pool:
                def ask(self, line):
                    for _ in range(9):
                        client = made[-1] if made else None
                        try:
                            if client is None:
                                made.append(client := made_client(net.link))
                            return client.ask(line)
                        except OSError:
                            made.remove(client)
                            client.close()
            net.link = net.forward(server.server_address)
            def made_client(link):
                from conftest import Client
                return Client(link, timeout=1.0)
            pool = Pool()
            for _ in range(3):  # before the test, so that no place is there
                assert pool.ask(b"hello") == b"hello"
            yield pool
            for client in made:
                client.close()

    @pytest.mark.netfault_storm(places=4)
    def test_with_the_pool_of_the_session(pool):
        assert pool.ask(b"one") == b"one"

    @pytest.mark.usefixtures("attributes")
    class TestOfUnittest(unittest.TestCase):
        def setUp(self):
            self.client = self.make(self.make.retrying)

        def test_asks(self):
            self.assertEqual(self.client.ask(b"one"), b"one")

    @pytest.fixture
    def attributes(request, make):
        request.cls.make = staticmethod(make)

    class TestOfPytest:
        def test_has_an_instance_of_its_own(self, make):
            assert not hasattr(self, "client")
            self.client = make(make.retrying)
            assert self.client.ask(b"one") == b"one"

    def test_uses_no_link(tmp_path):
        (tmp_path / "file").write_text("")
"""


def items(result: pytest.RunResult, word: str) -> set[str]:
    """The storm items with this outcome, by what ``-v`` prints, without their file."""
    found = (re.match(rf"\S+?::(.*\[.*storm: .*\]) {word}\b", line) for line in result.outlines)
    return {match[1] for match in found if match}


def section(result: pytest.RunResult) -> str:
    """What is said at the end."""
    return result.stdout.str().partition("= netfault storm =")[2].partition("short test summary")[0]


STORM = ("--netfault-storm", "--netfault-seed=1", "-v")


def test_each_kind_of_mistake_is_found_and_nothing_else(sessions: Any, tmp_path: Path) -> None:
    sessions.conftest(CONFTEST)
    sessions.pytester.makepyfile(test_mistakes=MISTAKES, test_robust=ROBUST)
    output, junit = tmp_path / "out", tmp_path / "junit.xml"
    result = sessions.run(*STORM, f"--netfault-output={output}", f"--junitxml={junit}", "--durations=3")
    assert items(result, "FAILED") == {
        "test_undeclared[storm: up 1 rst]",
        "test_undeclared[storm: down 1 rst]",
        "test_hangs[storm: up 1 forget]",
        "test_hangs[storm: down 1 forget]",
        "test_takes_an_error_for_an_answer[storm: up 1 rst]",
        "test_takes_an_error_for_an_answer[storm: down 1 rst]",
        "test_leaks[storm: up 1 rst]",
        # The request was carried out, and only its answer was lost.
        "test_adds_twice[storm: down 1 rst]",
        "test_adds_twice[storm: down 1 forget]",
    }
    pooled = {item for item in items(result, "PASSED") if "pool" in item}
    assert pooled == {
        f"test_with_the_pool_of_the_session[storm: {way} 1 {fault}]"
        for way in ("up", "down")
        for fault in ("rst", "forget")
    }
    assert "test_parametrized[a-b]-storm: up 1 rst]" in items(result, "PASSED")
    assert "TestOfUnittest::test_asks[storm: up 1 rst]" in items(result, "PASSED")
    assert not items(result, "ERROR")
    assert result.ret == pytest.ExitCode.TESTS_FAILED

    said = section(result)
    assert "9 findings of 5 causes" in said
    for line in (
        r"hang: in conftest\.ask, at 2 places of 1 test",
        r"leak: socket after rst, at 1 place of 1 test",
        r"undeclared error: ConnectionResetError out of conftest\.ask, at 2 places of 1 test",
        r"wrong result: at test_mistakes\.py:\d+, at 2 places of 1 test",
        r"    smallest: test_mistakes\.py::test_undeclared, the connection is reset before the 1st exchange up",
        r"    sure: 2 of 2, test_mistakes\.py:6",
        r"    sure: 3 of 3",
        r"    pytest 'test_mistakes\.py::test_undeclared\[storm: up 1 rst\]' --netfault-storm --netfault-seed=1",
    ):
        assert re.search(rf"^{line}$", said, re.MULTILINE), line
    assert "left out" not in said

    folders = [path.name for path in output.iterdir() if path.is_dir()]
    assert len(folders) == 9
    [folder] = [name for name in folders if "test_undeclared-storm-up-1-rst" in name]
    assert f"    timeline: {output / folder}" in said
    events = json.loads((output / folder / "events.json").read_text())
    assert "[storm: up 1 rst]" in json.dumps(events)

    cases = {case.get("name"): case for case in ET.parse(junit).iter("testcase")}
    case = cases["test_hangs[storm: up 1 forget]"]
    assert case.find("failure") is not None
    assert {one.get("name"): one.get("value") for one in case.iter("property")}["netfault.storm"] == "hang"
    assert "= slowest 3 durations =" in result.stdout.str()


ONE_MISTAKE = """
    import pytest

    @pytest.mark.netfault_storm(places=4, allow=TimeoutError)
    def test_asks(make):
        assert make(make.client, timeout=1.0).ask(b"one") == b"one"

    def test_without():
        pass
"""
RST = {"test_asks[storm: up 1 rst]", "test_asks[storm: down 1 rst]"}


def test_the_items_are_chosen_like_any_other(sessions: Any) -> None:
    sessions.conftest(CONFTEST)
    sessions.pytester.makepyfile(test_one=ONE_MISTAKE)
    storm = STORM[:2]
    result = sessions.run(*STORM, "-n", "2", plugins=["xdist"])
    found = {
        match[1] for line in result.outlines if (match := re.search(r"FAILED \S+?::(\S.*\])(?: - |$)", line))
    }
    assert found == RST
    result.assert_outcomes(passed=4, failed=2)
    assert "4 plays" not in section(result)
    assert "2 findings of 1 cause" in section(result)

    again = sessions.run(*STORM, "--lf")
    assert (items(again, "FAILED"), again.parseoutcomes()) == (RST, {"failed": 2})
    first = sessions.run(*STORM, "--maxfail=1", "-k", "asks and rst and 1")
    assert "learning 1 test" in first.stdout.str()  # and not the one that -k wants nothing of
    assert (len(items(first, "FAILED")), first.parseoutcomes()["failed"]) == (1, 1)
    one = sessions.run(*storm, "test_one.py::test_asks[storm: up 1 rst]")
    one.assert_outcomes(failed=1)
    listed = sessions.run(*storm, "--collect-only", "-q")
    assert [line for line in listed.outlines if "storm: " in line] == [
        f"test_one.py::test_asks[storm: {place}]"
        for place in ("up 1 rst", "up 1 forget", "down 1 rst", "down 1 forget")
    ]


def test_a_gate_can_begin_on_a_suite_that_has_findings(sessions: Any) -> None:
    sessions.conftest(CONFTEST)
    sessions.pytester.makepyfile(test_one=ONE_MISTAKE)
    file = sessions.pytester.path / "storm.json"
    baseline = f"--netfault-storm-baseline={file}"
    written = sessions.run(*STORM, baseline, "--netfault-storm-update")
    written.assert_outcomes(passed=4, xfailed=2)
    assert f"1 cause written to {file}" in section(written)
    [entry] = json.loads(file.read_text())["findings"]
    assert (entry["kind"], entry["place"]) == ("undeclared error", "up 1 rst")
    known = sessions.run(*STORM, baseline, "-k", "up and rst")
    known.assert_outcomes(xfailed=1, deselected=5)
    assert known.ret == pytest.ExitCode.OK
    assert "undeclared error (known): " in section(known)

    sessions.pytester.makepyfile(test_one=ONE_MISTAKE.replace("TimeoutError", "OSError"))
    gone = sessions.run(*STORM, baseline, "-k", "up and rst")
    gone.assert_outcomes(passed=1, deselected=5)
    assert "gone from the baseline: undeclared error: " in section(gone)

    refused = sessions.run("--netfault-storm", "--netfault-storm-update")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*name it with --netfault-storm-baseline=FILE*"])


def test_a_storm_that_met_no_traffic_fails_if_strict(sessions: Any) -> None:
    sessions.file("def test_it(): pass")
    assert sessions.run("--netfault-storm").ret == pytest.ExitCode.OK
    strict = sessions.run("--netfault-storm", "--netfault-strict")
    assert strict.ret == pytest.ExitCode.TESTS_FAILED
    strict.stdout.fnmatch_lines(["no fault met any traffic: *"])


def test_tests_that_do_not_repeat_are_named_and_left_out(sessions: Any) -> None:
    sessions.conftest(CONFTEST)
    sessions.file(
        """
        import itertools
        import pytest
        from hypothesis import HealthCheck, given, settings, strategies as st

        counts = itertools.count()

        def test_flaky(make):
            make(make.client).ask(b"one")
            assert next(counts) % 2 == 0

        def test_other_exchanges_each_time(make, lengths=itertools.count(1)):
            client = make(make.client)
            for _ in range(next(lengths)):
                client.ask(b"one")

        def test_fails(make):
            make(make.client).ask(b"one")
            assert False

        def test_skips(make):
            make(make.client).ask(b"one")
            pytest.skip("not here")

        def test_faults_of_its_own(link, make):
            make(make.client).ask(b"one")
            link.delay(0)

        @settings(suppress_health_check=list(HealthCheck), max_examples=2)
        @given(st.integers())
        def test_generated(make, number):
            make(make.client).ask(b"one")

        @pytest.fixture(name="subtests")
        def fixture_of_this_name():
            pass  # as in pytest 9

        def test_parts(make, subtests):
            make(make.client).ask(b"one")

        @pytest.mark.netfault_storm(places=0)
        def test_not_wanted(make):
            make(make.client).ask(b"one")
        """
    )
    result = sessions.run("--netfault-storm", plugins=["hypothesispytest"])
    said = section(result)
    assert "0 plays at 0 places of 0 tests, 0 findings of 0 causes" in said
    for name, reason in {
        "flaky": "it fails when it runs a second time (AssertionError)",
        "other_exchanges_each_time": "its runs differ: 4 exchanges in one play, 6 exchanges in another "
        "(turn down: 2, 3; turn up: 2, 3)",
        "fails": "it fails as it is (AssertionError)",
        "skips": "it skips itself: not here",
        "faults_of_its_own": "it applies faults of its own",
        "generated": "it draws inputs of its own, so no two runs exchange the same",
        "parts": "it reports its parts by itself (subtests)",
        "not_wanted": "places=0",
    }.items():
        assert f"left out: test_it.py::test_{name} ({reason})" in said, said


def test_beside_the_plugins_that_suites_are_run_with(sessions: Any) -> None:
    """Time limits, reruns, asyncio and anyio, with warnings as errors."""
    sessions.conftest(CONFTEST)
    sessions.file(
        """
        import asyncio
        import anyio
        import pytest

        pytestmark = pytest.mark.netfault_storm(places=4, allow=OSError)

        async def ask(link):
            reader, writer = await asyncio.open_connection(link.host, link.port)
            try:
                writer.write(b"one\\n")
                async with asyncio.timeout(1.0) if hasattr(asyncio, "timeout") else anyio.fail_after(1.0):
                    return await reader.readline()
            finally:
                writer.close()

        @pytest.mark.asyncio
        async def test_asyncio(link):
            assert await ask(link) in (b"one\\n", b"")

        @pytest.mark.anyio
        async def test_anyio(link, anyio_backend_name):
            async with await anyio.connect_tcp(link.host, link.port) as stream:
                await stream.send(b"one\\n")
                try:
                    with anyio.fail_after(1.0):
                        await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    pass

        @pytest.fixture(params=["asyncio"])
        def anyio_backend(request):
            return request.param

        @pytest.mark.timeout(1)
        @pytest.mark.netfault_storm(seconds=1)
        def test_longer_than_its_time_limit(make):
            assert make(make.client).ask(b"one") == b"one"

        @pytest.mark.flaky(reruns=3)
        def test_reruns(make):
            assert make(make.client, timeout=1.0).ask(b"one") == b"two" or True
        """
    )
    plugins = ["asyncio", "anyio", "timeout", "rerunfailures"]
    result = sessions.run(
        *STORM,
        "--reruns=1",
        "-W",
        "error",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        plugins=plugins,
    )
    assert items(result, "FAILED") == {
        "test_longer_than_its_time_limit[storm: up 1 forget]",
        "test_longer_than_its_time_limit[storm: down 1 forget]",
    }
    assert result.parseoutcomes()["passed"] == 4 + 14
    assert "hang: in conftest.ask" in section(result)
    assert "left out" not in section(result)
