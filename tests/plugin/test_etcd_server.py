"""The fixture ``etcd_server``: a real etcd, shared by the tests, with keys of its own for each."""

from __future__ import annotations

import sys
from typing import Any, Literal

import pytest

from pytest_netfault.plugin.shared_etcd import SharedEtcd
from pytest_netfault.proof.contract import Server, can
from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import EtcdServer, find_etcd

pytestmark = pytest.mark.slow

# A machine without etcd: nothing on PATH, no wheel, and a Docker engine that does not answer.
NO_ETCD = """
    import os
    from pytest_netfault.servers.etcd import find

    os.environ["PATH"] = "/nonexistent"
    os.environ["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    find._wheel_files = lambda: []
"""

USES_IT = """
    import pytest

    @pytest.mark.parametrize("number", range(3))
    def test_it(etcd_server, number):
        assert etcd_server.revision() > 0
"""

# Writes and reads by etcd's own JSON gateway, so that no client library is needed.
KEYS = """
    import base64
    import json
    import urllib.request

    import pytest

    def _text(value):
        return base64.b64encode(value.encode()).decode()

    def _call(etcd, path, **body):
        request = urllib.request.Request(f"http://{etcd.address}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    @pytest.fixture
    def keys(etcd_server):
        class Keys:
            def put(self, name, value="x"):
                _call(etcd_server, "/v3/kv/put", key=_text(etcd_server.prefix + name), value=_text(value))

            def count(self):
                start = etcd_server.prefix
                end = start[:-1] + chr(ord(start[-1]) + 1)
                found = _call(
                    etcd_server, "/v3/kv/range", key=_text(start), range_end=_text(end), count_only=True
                )
                return int(found.get("count", 0))

        return Keys()
"""


@pytest.fixture(scope="module", autouse=True)
def _there_is_one() -> None:
    try:
        find_etcd()
    except ServerError as error:
        pytest.skip(str(error))


def test_it_is_what_the_contract_says(etcd_server: SharedEtcd) -> None:
    host, _, port = etcd_server.address.rpartition(":")
    assert host
    assert int(port) > 0
    assert etcd_server.revision() >= 1
    assert isinstance(etcd_server.log(etcd_server.revision()), list)
    assert repr(etcd_server) == "etcd_server"
    assert hasattr(etcd_server, "compact") == hasattr(etcd_server.server, "compact")
    assert not hasattr(etcd_server, "no_such_method")


def test_it_is_a_server_for_the_proof_kit(etcd_server: SharedEtcd) -> None:
    server: Server = etcd_server
    abilities: tuple[Literal["compact", "restart", "pause"], ...] = ("compact", "restart", "pause")
    assert [can(server, name) for name in abilities] == [can(etcd_server.server, name) for name in abilities]
    assert server.revision() == etcd_server.revision(timeout=5)


@pytest.mark.parametrize("workers", [0, 2])
def test_each_test_has_an_empty_prefix(sessions: Any, workers: int) -> None:
    sessions.conftest(KEYS)
    sessions.file(
        """
        import pathlib
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(etcd_server, keys, number):
            pathlib.Path(f"{number}.prefix").write_text(etcd_server.prefix)
            assert keys.count() == 0
            keys.put("a")
            keys.put("b")
            assert keys.count() == 2
        """
    )
    parallel = ("-n2",) if workers else ()
    sessions.run(*parallel, plugins=["xdist"]).assert_outcomes(passed=6)
    prefixes = [path.read_text() for path in sessions.pytester.path.glob("*.prefix")]
    assert len(set(prefixes)) == 6
    assert {len(prefix) for prefix in prefixes} == {len("/netfault/01234567/000001/")}


def test_each_attempt_has_an_empty_prefix(sessions: Any) -> None:
    pytest.importorskip("pytest_rerunfailures", reason="it is one of tests/requirements.txt")
    sessions.conftest(KEYS)
    sessions.file(
        """
        def test_it(etcd_server, keys, request):
            assert keys.count() == 0
            keys.put("a")
            assert request.node.execution_count == 2
        """
    )
    sessions.run("--reruns=3", plugins=["rerunfailures"]).assert_outcomes(passed=1)


def test_it_is_started_once_and_only_when_used(sessions: Any) -> None:
    sessions.file(
        """
        import sys

        pids = set()

        def test_a_before(netfault):
            assert "pytest_netfault.servers.etcd.server" not in sys.modules

        def test_b(etcd_server):
            pids.add(etcd_server.pid)

        def test_c(etcd_server):
            pids.add(etcd_server.pid)
            assert len(pids) == 1 and None not in pids
        """
    )
    sessions.run().assert_outcomes(passed=3)


@pytest.mark.parametrize("harm", ["pause", "kill"])
def test_a_test_that_leaves_it_frozen_or_dead_does_not_harm_the_next(sessions: Any, harm: str) -> None:
    sessions.conftest(KEYS)
    sessions.file(
        f"""
        def test_a(etcd_server, keys):
            keys.put("a")
            etcd_server.{harm}()
            assert 0

        def test_b(netfault):
            pass        # does not use it, and does not wait for it

        def test_c(etcd_server, keys):
            assert keys.count() == 0
            keys.put("a")
            assert etcd_server.revision() >= 3
        """
    )
    sessions.run().assert_outcomes(passed=2, failed=1)


def test_without_any_the_tests_are_skipped_with_all_four_ways(sessions: Any) -> None:
    sessions.conftest(NO_ETCD)
    sessions.file(USES_IT)
    result = sessions.run("-rs")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(
        ["*SKIPPED*3*no etcd was found:*etcd=HOST:PORT*etcd=PATH*PATH*pip install*etcd*docker*"]
    )


@pytest.mark.parametrize("strict", ["--netfault-strict", "--override-ini=netfault_strict=true"])
def test_strict_makes_an_error_of_it(sessions: Any, strict: str) -> None:
    sessions.conftest(NO_ETCD)
    sessions.file(USES_IT)
    result = sessions.run(strict)
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*no etcd was found:*--netfault-strict: not skipped*"])
    errors = sum(line.startswith("_") and "ERROR at setup" in line for line in result.outlines)
    # The summary at the end is left out: where CI is set, pytest does not shorten its lines.
    said = [line for line in result.outlines if not line.startswith("ERROR ")]
    assert sum("name a running one with" in line and "docker[" in line for line in said) == errors


@pytest.mark.parametrize("named", ["/nonexistent/etcd", "127.0.0.1:1", sys.executable])
def test_one_that_was_named_and_is_not_there_is_an_error_strict_or_not(sessions: Any, named: str) -> None:
    sessions.file(USES_IT)
    result = sessions.run(f"--netfault-etcd={named}")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*Server*: *"])


def test_one_that_runs_already_may_be_named_and_is_left_running(sessions: Any) -> None:
    source = find_etcd()
    with source.start() as running:
        assert isinstance(running, EtcdServer)
        sessions.conftest(KEYS)
        sessions.file(
            """
            def test_it(etcd_server, keys, pytestconfig):
                assert etcd_server.address == pytestconfig.getoption("netfault_etcd")
                assert keys.count() == 0
                keys.put("a")
                assert not hasattr(etcd_server, "kill")
            """
        )
        for _ in range(2):
            sessions.run(f"--netfault-etcd={running.address}").assert_outcomes(passed=1)
        assert running.revision() == 3, "both runs wrote here"


def test_what_it_printed_is_kept_for_a_failing_test(sessions: Any) -> None:
    sessions.file(
        """
        def test_it(netfault, etcd_server):
            netfault.forward(etcd_server.address)
            assert 0
        """
    )
    sessions.run("--netfault-output=out").assert_outcomes(failed=1)
    (log,) = (sessions.pytester.path / "out").glob("*/etcd.log")
    assert "etcd" in log.read_text()
