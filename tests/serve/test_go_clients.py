"""What Toxiproxy itself brings, built from its Go module: the tests of its client, and its command line.

``NETFAULT_TOXIPROXY`` names a folder with ``api.test`` and ``toxiproxy-cli``; ``.ci/run`` builds them, and
``tests/toxiproxy/main.go`` says how.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Serving, Upstream

pytestmark = pytest.mark.slow

FOLDER = os.environ.get("NETFAULT_TOXIPROXY", "")
PORT = 8475  # that the tests of Toxiproxy have written into them
NAMES = [
    "TestRequestId",
    "TestBrowserGets403",
    "TestNonBrowserGets200",
    "TestIndexWithNoProxies",
    "TestCreateProxyBlankName",
    "TestCreateProxyBlankUpstream",
    "TestPopulateProxy",
    "TestPopulateDefaultEnabled",
    "TestPopulateDisabledProxy",
    "TestPopulateExistingProxy",
    "TestPopulateWithBadName",
    "TestPopulateProxyWithBadDataShouldReturnError",
    "TestPopulateAddToxic",
    "TestListingProxies",
    "TestCreateAndGetProxy",
    "TestCreateProxyWithSave",
    "TestCreateDisabledProxy",
    "TestCreateDisabledProxyAndEnable",
    "TestDeleteProxy",
    "TestCreateProxyPortConflict",
    "TestCreateProxyNameConflict",
    "TestResetState",
    "TestListingToxics",
    "TestAddToxic",
    "TestAddMultipleToxics",
    "TestAddConflictingToxic",
    "TestAddConflictingToxicsMultistream",
    "TestAddConflictingToxicsMultistreamDefaults",
    "TestAddToxicWithToxicity",
    "TestAddNoop",
    "TestUpdateToxics",
    "TestRemoveToxic",
    "TestVersionEndpointReturnsVersion",
    "TestInvalidStream",
]


def program(name: str) -> str:
    path = Path(FOLDER) / name
    if not FOLDER or not path.exists():
        pytest.skip(
            f"NETFAULT_TOXIPROXY names no folder with {name}; tests/toxiproxy/main.go says how to build it"
        )
    return str(path)


@pytest.fixture
def port_alone() -> Iterator[None]:
    """The ports that these tests have written into them are used by one run of them at a time."""
    with (Path(tempfile.gettempdir()) / "netfault-tests-toxiproxy.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                pytest.skip(f"another program listens on port {PORT}")
        yield


@pytest.mark.usefixtures("port_alone")
def test_the_34_tests_of_its_client_pass_one_by_one() -> None:
    binary = program("api.test")
    assert len(NAMES) == 34
    failed = {}
    with Serving(f"--port={PORT}", "--report-version=git", env={"LOG_LEVEL": "debug"}) as serving:
        for name in NAMES:
            serving.flush()
            ended = subprocess.run(
                [binary, "-test.run", f"^{name}$", "-test.v"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if ended.returncode or f"--- PASS: {name} " not in ended.stdout:
                failed[name] = ended.stdout[-2000:]
        log = serving.end()[1]
    assert not failed, "\n".join(failed.values())
    assert "POST /proxies/mysql_master/toxics 200" in log  # it was our server that they asked


class Cli:
    """``toxiproxy-cli``."""

    def __init__(self, serving: Serving) -> None:
        self._command = [program("toxiproxy-cli"), "-h", serving.url]

    def __call__(self, *arguments: str) -> str:
        ended = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended
        return ended.stdout

    def fails(self, *arguments: str) -> str:
        ended = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 1, ended
        return ended.stdout + ended.stderr


def test_its_command_line(serving: Serving, upstream: Upstream) -> None:
    cli = Cli(serving)
    assert "Created new proxy shop" in cli("create", "-l", "localhost:0", "-u", upstream.address, "shop")
    listen = serving.ask("GET", "/proxies/shop").json["listen"]
    assert cli("list") == f"shop\t{listen}\t{upstream.address}\tenabled\t0\n"
    added = cli(
        "toxic", "add", "--downstream", "--type=latency", "--toxicName=late", "--attribute=latency=1000",
        "--attribute=jitter=50", "--toxicity=0.99", "shop",
    )  # fmt: skip
    assert "Added downstream latency toxic 'late' on proxy 'shop'" in added
    line = "late\ttype=latency\tstream=downstream\ttoxicity=0.99\tattributes=[\tjitter=50\tlatency=1000\t]\n"
    assert line in cli("inspect", "shop")
    cli("toxic", "update", "--toxicName=late", "--attribute=jitter=20", "--toxicity=0.7", "shop")
    assert "toxicity=0.70\tattributes=[\tjitter=20\tlatency=1000\t]" in cli("inspect", "shop")
    cli("toxic", "delete", "--toxicName=late", "shop")
    assert "late" not in cli("inspect", "shop")
    cli("toxic", "add", "--upstream", "--type=limit_data", "--attribute=bytes=2", "shop")
    client, server = upstream.connect(("127.0.0.1", int(listen.rpartition(":")[2])))
    client.sendall(b"123")
    assert server.recv(3, socket.MSG_WAITALL) == b"12"
    assert "Proxy shop is now disabled" in cli("toggle", "shop")
    assert cli("list") == f"shop\t{listen}\t{upstream.address}\tdisabled\t1\n"
    assert "Proxy shop is now enabled" in cli("toggle", "shop")
    assert "proxy not found" in cli.fails("inspect", "nobody")
    assert "Deleted proxy shop" in cli("delete", "shop")
    assert "shop" not in cli("list")
