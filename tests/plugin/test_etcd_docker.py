"""``--netfault-etcd=docker`` in whole sessions, with a real engine where one can be reached."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd.docker import OWNER_LABEL, newest_image
from pytest_netfault.servers.owner import read_owner

pytestmark = [pytest.mark.usefixtures("engine_alone"), pytest.mark.slow]

USES_IT = """
    def test_passes(etcd_server):
        assert etcd_server.revision() >= 1

    def test_fails(etcd_server, netfault):
        netfault.forward(etcd_server.address)
        assert 0
"""

WAITS = """
    import threading

    def test_waits(etcd_server):
        print("open:", etcd_server.address, flush=True)
        while not threading.Event().wait(0.05):  # a signal just before a wait without end would be slept through
            pass
"""


@pytest.fixture(scope="module")
def image() -> str:
    try:
        return newest_image()
    except ServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def containers_of(image: str) -> Iterator[Callable[[int], int]]:  # noqa: ARG001 - skips without an engine
    """How many containers a process owns."""
    import docker

    engine = docker.from_env()

    def count(pid: int) -> int:
        found = engine.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
        owners = [read_owner(container.labels[OWNER_LABEL]) for container in found]
        return sum(owner is not None and owner.pid == pid for owner in owners)

    yield count
    engine.close()


@pytest.mark.parametrize("named", ["docker", "docker:IMAGE"])
def test_the_etcd_of_a_session_may_come_from_an_image(sessions: Any, image: str, named: str) -> None:
    sessions.file(USES_IT)
    option = f"--netfault-etcd={named.replace('IMAGE', image)}"
    result = sessions.run(option, "--netfault-output=out", "--netfault-strict")
    result.assert_outcomes(passed=1, failed=1)
    (folder,) = (path for path in (sessions.pytester.path / "out").iterdir() if path.is_dir())
    assert "etcd-version" in (folder / "etcd.log").read_text(), "what it printed is kept for a failing test"


def test_ctrl_c_removes_the_container(
    sessions: Any, containers_of: Any, read_until: Any, interrupt: Any
) -> None:
    sessions.file(WAITS)
    process = sessions.start("-s", "--netfault-etcd=docker")
    read_until(process, "open: ")
    assert containers_of(process.pid) == 1
    interrupt(process)
    assert containers_of(process.pid) == 0


def test_the_container_of_a_killed_session_is_removed_by_the_next_one(
    sessions: Any, containers_of: Any, read_until: Any
) -> None:
    sessions.file(WAITS)
    process = sessions.start("-s", "--netfault-etcd=docker")
    read_until(process, "open: ")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    assert containers_of(process.pid) == 1
    sessions.file(USES_IT)
    sessions.run("--netfault-etcd=docker", "-k", "passes").assert_outcomes(passed=1)
    assert containers_of(process.pid) == 0


@pytest.mark.parametrize("image_name", ["local/no-such-etcd:1", "NOT/A:name"])
def test_an_image_that_is_not_there_is_an_error_with_the_command_to_run(
    sessions: Any,
    image: str,  # noqa: ARG001 - skips without an engine
    image_name: str,
) -> None:
    sessions.file(USES_IT)
    result = sessions.run(f"--netfault-etcd=docker:{image_name}", "-k", "passes")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{image_name}*"])
