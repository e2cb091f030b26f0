"""etcd from Docker: what can be missing, with fakes; and a real engine, where one can be reached.

A real engine is used if ``DOCKER_HOST``, or else the default socket, leads to one that has an etcd image.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.servers.errors import ServerError, ServerUnreachable
from pytest_netfault.servers.etcd import docker as etcd_docker
from pytest_netfault.servers.etcd.docker import (
    OWNER_LABEL,
    EtcdContainer,
    newest_image,
    program_of,
    sweep_containers,
)
from pytest_netfault.servers.etcd.server import COMPACTION_KEY
from pytest_netfault.servers.owner import this_process
from pytest_netfault.servers.ports import ReservedPort

pytestmark = [pytest.mark.usefixtures("engine_alone"), pytest.mark.slow]

# -- what can be missing -----------------------------------------------------------------------------------


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(ServerError, match=re.escape("pip install 'pytest-netfault[docker]'")):
        newest_image()
    with pytest.raises(ServerError, match="needs the package docker"):
        EtcdContainer("any").start()


def test_no_engine_is_said_with_its_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(
        ServerError, match=rf"no Docker engine answers at unix://{tmp_path}/no.sock: start one"
    ):
        newest_image()
    with ReservedPort() as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port.number}")
        with pytest.raises(
            ServerError, match=r"no Docker engine answers at tcp://127.0.0.1:.*Connection refused"
        ):
            newest_image()


def test_no_permission_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def connect(self, address: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pytest_netfault.servers.etcd.docker.socket.socket", Forbidden)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with pytest.raises(
        ServerError, match=r"unix:///var/run/docker.sock may not be used by this user: join the "
    ):
        newest_image()


@pytest.mark.parametrize("where", ["tcp://192.0.2.1:2375", "ssh://me@build", "npipe:////./pipe/docker"])
def test_an_engine_elsewhere_is_not_used(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", where)
    with pytest.raises(
        ServerError, match=re.escape(f"{where} is not on this machine: start etcd there and name it")
    ):
        newest_image()


class FakeEngine:
    """An HTTP server that answers like an engine: ``answers`` maps the end of a path to what it says."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {
            "/version": (200, {"ApiVersion": "1.41", "MinAPIVersion": "1.24"}),
            "/images/json": (200, []),
            "/containers/json": (200, []),
        }
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                found = [answer for end, answer in answers.items() if path.endswith(end)]
                status, body = found[0] if found else (404, {"message": f"No such thing: {path}"})
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    pytest.importorskip("docker", reason="the extra docker is not installed")
    fake = FakeEngine()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{fake.server.server_port}")
    yield fake
    fake.server.shutdown()
    fake.thread.join()
    fake.server.server_close()


@pytest.mark.usefixtures("engine")
def test_an_engine_without_images_is_said() -> None:
    with pytest.raises(
        ServerError, match="the Docker engine has no etcd image: docker pull one, or name another"
    ):
        newest_image()
    with pytest.raises(ServerError, match="the Docker engine has no etcd image"):
        EtcdContainer().start()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", ["local/etcd:9", "etcd"])
def test_a_missing_image_is_named(name: str) -> None:
    container = EtcdContainer(name)
    with pytest.raises(
        ServerError, match=f"has no image {name}: run docker pull {name}, or name another with"
    ):
        container.start()
    container.close()
    with pytest.raises(ServerError, match=r"etcd-\d+ is not started, or closed"):
        container.revision()


def test_what_the_engine_says_is_passed_on(engine: FakeEngine) -> None:
    engine.answers["/images/json"] = (500, {"message": "disk on fire"})
    with pytest.raises(ServerError, match="images of the Docker engine could not be listed: disk on fire"):
        newest_image()
    engine.answers["/version"] = (500, {"message": "not today"})
    with pytest.raises(ServerError, match=r"the Docker engine at tcp://.* cannot be used: .*not today"):
        newest_image()


def test_the_newest_image_is_chosen_by_its_version(engine: FakeEngine) -> None:
    def image(number: int, *tags: str) -> dict[str, Any]:
        identity = f"sha256:{number}"
        engine.answers[f"/images/{identity}/json"] = (200, {"Id": identity, "RepoTags": list(tags)})
        return {"Id": identity, "RepoTags": list(tags)}

    engine.answers["/images/json"] = (
        200,
        [
            image(1, "a.test/coreos/etcd:v3.5.9", "redis:7"),
            image(2, "a.test/coreos/etcd:v3.5.10"),
            image(3, "not-etcd:v9", "a.test/etcd/tool:v9", "etcd-browser:9"),
            image(4),
        ],
    )
    assert newest_image() == "a.test/coreos/etcd:v3.5.10"


def test_flags_are_a_list() -> None:
    with pytest.raises(TypeError, match="flags must be a list of strings, not '--x'"):
        EtcdContainer(flags="--x")


@pytest.mark.parametrize(
    ("config", "program"),
    [
        ({"Entrypoint": ["/etcd"], "Cmd": None}, ["/etcd"]),
        ({"Entrypoint": None, "Cmd": ["/usr/local/bin/etcd"]}, ["/usr/local/bin/etcd"]),
        ({"Entrypoint": ["etcd"], "Cmd": ["--help"]}, ["etcd"]),
        ({"Entrypoint": ["/entrypoint.sh"], "Cmd": ["/run.sh"]}, ["etcd"]),
        ({}, ["etcd"]),
    ],
)
def test_etcd_is_run_without_the_scripts_around_it(config: dict[str, Any], program: list[str]) -> None:
    assert program_of(config) == program


# -- a real engine -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image() -> str:
    try:
        return newest_image()
    except ServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def client(image: str) -> Iterator[Any]:  # noqa: ARG001
    connected = etcd_docker._connect()
    yield connected
    connected.close()


@pytest.fixture(params=["published", "host"])
def container(
    request: pytest.FixtureRequest, image: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """One in each way that it can be reached; an engine without a bridge can do only the second."""
    if request.param == "published" and not client.networks.list(names=["bridge"]):
        pytest.skip("this Docker engine runs without its bridge network")
    if request.param == "host":
        monkeypatch.setattr("docker.models.networks.NetworkCollection.list", lambda *_args, **_named: [])
    with EtcdContainer(image) as server:
        yield server


def _ours(client: Any) -> list[Any]:
    found: list[Any] = client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return found


def _mine(client: Any) -> list[Any]:
    """Those of this very process: other sessions may use the same engine."""
    return [found for found in _ours(client) if found.labels[OWNER_LABEL] == str(this_process())]


def test_a_container_does_all_that_a_process_does(container: EtcdContainer, write_to: Any) -> None:
    writer = write_to(container)
    assert container.log(0) == []
    assert container.version
    writer.put(b"a", b"1")
    writer.delete(b"a")
    assert container.compact() == 4
    address = container.address
    container.restart()
    assert container.address == address
    assert writer.put(b"a", b"2") == 5
    container.pause()
    container.pause()
    with pytest.raises(ServerUnreachable, match=r"no answer within 0.05 s"):
        container.revision(timeout=0.05)
    assert container.start() is container  # it runs, frozen
    container.resume()
    container.resume()
    assert container.revision() == 5
    container.pause()
    container.restart()
    assert [entry.revision for entry in container.log(0)] == [2, 3, 4, 5]
    assert container.log(3)[0].events[0].key == COMPACTION_KEY
    container.kill()
    container.kill()
    with pytest.raises(ServerUnreachable):
        container.revision(timeout=0.5)
    assert container.start() is container
    assert container.revision() == 5
    assert "serving" in container.output(1000)
    assert len(container.output(2).splitlines()) == 2
    assert repr(container) == f"etcd-{container.port}"


def test_close_removes_it(image: str, client: Any) -> None:
    before = len(_mine(client))
    server = EtcdContainer(image).start()
    assert len(_mine(client)) == before + 1
    server.pause()
    server.close()
    server.close()
    assert len(_mine(client)) == before
    assert server.output() == ""
    with pytest.raises(ServerError, match="closed"):
        server.log(0)
    with pytest.raises(ServerError, match="is not running"):
        server.pause()


def test_a_start_that_fails_shows_what_etcd_printed_and_removes_it(image: str, client: Any) -> None:
    before = len(_mine(client))
    with pytest.raises(
        ServerError, match=rf"container of {image} ended with exit code 2 .*\n(.*\n)*.*no-such-flag"
    ):
        EtcdContainer(image, flags=["--no-such-flag"]).start()
    with pytest.raises(ServerError, match=rf"container of {image} did not serve within 0.5 s \("):
        EtcdContainer(image, flags=["--listen-client-urls=http://127.0.0.1:1"], start_timeout=0.5).start()
    assert len(_mine(client)) == before


OWNER = """
import os, sys
from pytest_netfault.servers.etcd import EtcdContainer
server = EtcdContainer(sys.argv[1]).start()
print(server._container.id, flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("then", "code", "tidy"),
    [
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL, False),
        ("os._exit(7)", 7, False),
        ("sys.exit(3)", 3, True),
        ("raise KeyboardInterrupt", -signal.SIGINT, True),
        (
            (
                "if os.fork() == 0: server.close(); os._exit(0)\n"
                "os.wait(); print(server.revision(), flush=True); os._exit(7)"
            ),
            7,
            False,
        ),
    ],
)
def test_it_is_removed_whichever_way_its_owner_ends(
    image: str, client: Any, run_script: Callable[..., Any], then: str, code: int, tidy: bool
) -> None:
    script = run_script(OWNER.format(then=then), image)
    identity = script.line()
    if "fork" in then:
        assert script.line() == "1"  # the child's end took nothing away
    assert script.wait() == code
    assert any(found.id == identity for found in _ours(client)) is not tidy
    EtcdContainer(image).start().close()  # whoever comes next cleans up
    assert all(found.id != identity for found in _ours(client))


def test_a_living_owner_s_container_is_left_alone(
    image: str, client: Any, run_script: Callable[..., Any]
) -> None:
    script = run_script(OWNER.format(then="sys.stdin.read()"), image)
    identity = script.line()
    sweep_containers(client)
    assert any(found.id == identity for found in _ours(client))
    os.kill(script.process.pid, signal.SIGKILL)
    script.wait()
    assert sweep_containers(client) >= 1


def test_a_container_with_a_label_that_is_not_ours_to_read_is_left_alone(image: str, client: Any) -> None:
    foreign = client.containers.create(image, labels={OWNER_LABEL: "somebody else"})
    try:
        sweep_containers(client)
        foreign.reload()
    finally:
        foreign.remove()


def test_the_label_says_who_owns_it(container: EtcdContainer) -> None:
    assert container._container.labels[OWNER_LABEL] == str(this_process())


def test_a_port_that_was_taken_is_replaced(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[socket.socket] = []

    class Contested(ReservedPort):
        def __init__(self, host: str) -> None:
            super().__init__(host)
            if not taken:
                taken.append(socket.create_server((host, self.number)))

    monkeypatch.setattr(etcd_docker, "ReservedPort", Contested)
    with EtcdContainer(image) as server:
        assert server.port != taken[0].getsockname()[1]
    taken[0].close()
