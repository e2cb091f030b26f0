"""The server as a process: flags, tokens, its log, its file of proxies, and its end."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import Script
from support.serving import Serving, Upstream

pytestmark = pytest.mark.slow


TESTS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from support.serving import Serving
serving = Serving()
print(serving.process.pid, serving.port, sep="\\n", flush=True)
time.sleep(3600)
"""


def elsewhere() -> str:
    """An address of this machine that is not loopback; a datagram socket finds it without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


class TestEnd:
    def test_sigterm_ends_everything_in_order(self, upstream: Upstream) -> None:
        with Serving() as serving:
            client, server = upstream.connect(serving.create("p", upstream.address))
            serving.ask("POST", "/proxies/p/toxics", {"type": "timeout"})
            server.sendall(b"held")
            kept = socket.create_connection(("127.0.0.1", serving.port))
            code, log = serving.end()
            assert code == 0, log
            assert client.recv(10) == b""
            assert server.recv(10) == b""
            assert kept.recv(10) == b""
            assert "Traceback" not in log
            kept.close()

    def test_ctrl_c_too(self) -> None:
        with Serving() as serving:
            serving.create("p", "127.0.0.1:1")
            code, log = serving.end(signal.SIGINT)
        assert code == 130, log
        assert "Traceback" not in log

    def test_a_schedule_that_waits_does_not_keep_it(self) -> None:
        with Serving() as serving:
            serving.create("p", "127.0.0.1:1")
            steps = {"steps": [{"step": "connected"}], "timeout": 3600}
            answer = serving.ask("POST", "/netfault/proxies/p/schedules", steps)
            assert answer.status == 202, answer
            assert serving.end()[0] == 0

    def test_the_end_of_its_standard_input_if_that_is_asked_for(self, upstream: Upstream) -> None:
        ours, writes = os.pipe()
        with os.fdopen(ours, "rb") as reads, Serving("--until-stdin-ends", stdin=reads.fileno()) as serving:
            client, server = upstream.connect(serving.create("p", upstream.address))
            os.write(writes, b"anything")
            os.close(writes)
            assert client.recv(10) == server.recv(10) == b""
            assert serving.process.wait(30) == 0

    def test_it_dies_with_the_tests_that_started_it(
        self, run_script: Callable[..., Script], wait_for_end: Callable[[int], None]
    ) -> None:
        tests = run_script(TESTS, Path(__file__).parents[1])
        pid, port = int(tests.line()), int(tests.line())
        tests.process.kill()
        wait_for_end(pid)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


class TestFlags:
    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            command = [sys.executable, "-m", "pytest_netfault", "serve", "-host=127.0.0.1", f"-port={port}"]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert ended.stderr == f"netfault serve: cannot listen on 127.0.0.1:{port}: Address already in use\n"

    @pytest.mark.parametrize("flags", [["-version"], ["--version"], ["-version=true"]])
    def test_the_version(self, flags: list[str]) -> None:
        command = [sys.executable, "-m", "pytest_netfault", "serve", *flags]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stdout) == (0, "netfault serve, with the API of Toxiproxy 2.12.0\n")

    @pytest.mark.parametrize("flag", ["-port=x", "-port=70000", "--nonsense", "-version=perhaps", "-config="])
    def test_a_wrong_one_is_one_line(self, flag: str) -> None:
        command = [sys.executable, "-m", "pytest_netfault", "serve", flag]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)

    def test_one_dash_and_a_blank(self) -> None:
        with Serving("-seed", "5", "-report-version", "git", "-proxy-metrics=false") as serving:
            assert serving.ask("GET", "/version").body == b'{"version": "git"}\n'
            assert serving.ask("GET", "/metrics").status == 404
            assert any("seed 5" in line for line in serving.started)

    def test_as_a_container_is_started(self, tmp_path: Path, upstream: Upstream) -> None:
        """``-host=0.0.0.0 -config=/path.json``, and then ``/version`` is asked until it answers."""
        file = tmp_path / "toxiproxy.json"
        file.write_text(json.dumps([{"name": "p", "listen": "0.0.0.0:0", "upstream": upstream.address}]))
        with Serving("-host=0.0.0.0", f"-config={file}") as serving:
            assert serving.ask("GET", "/version").status == 200
            host, _, port = serving.ask("GET", "/proxies/p").json["listen"].rpartition(":")
            assert host == "0.0.0.0"  # noqa: S104, RUF100
            client, server = upstream.connect(("127.0.0.1", int(port)))
            server.sendall(b"x")
            assert client.recv(1) == b"x"


class TestConfig:
    @pytest.mark.parametrize("meant", [[], ["--toxics-in-config"]])
    def test_toxics_of_the_file(self, tmp_path: Path, meant: list[str]) -> None:
        toxics = [{"type": "latency", "attributes": {"latency": 5}}]
        proxies = [
            {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1", "toxics": toxics},
            {
                "name": "q",
                "listen": "127.0.0.1:0",
                "upstream": "127.0.0.1:1",
                "toxics": toxics,
                "netfault": 1,
            },
        ]
        file = tmp_path / "toxiproxy.json"
        file.write_text(json.dumps(proxies))
        with Serving("--config", str(file), *meant) as serving:
            assert len(serving.ask("GET", "/proxies/p").json["toxics"]) == len(meant)
            assert len(serving.ask("GET", "/proxies/q").json["toxics"]) == 1

    @pytest.mark.parametrize("text", [None, "", "nonsense", '[{"name": "p"}]'])
    def test_what_is_wrong_with_it_is_logged_only(self, tmp_path: Path, text: str | None) -> None:
        file = tmp_path / "toxiproxy.json"
        if text is not None:
            file.write_text(text)
        with Serving("--config", str(file)) as serving:
            assert any(f"--config {file}" in line for line in serving.started)
            assert serving.ask("GET", "/proxies").body == b"{}"


class TestAccess:
    def test_from_elsewhere_the_token_is_needed(self) -> None:
        with Serving("--host=0.0.0.0", "--token=secret") as serving:
            there = elsewhere()
            assert serving.ask("GET", "/proxies").status == 200
            refused = serving.ask("GET", "/proxies", host=there)
            assert refused.status == 401
            assert "needs the token" in refused.json["error"]
            assert serving.ask("GET", "/version", host=there).status == 200
            basic = base64.b64encode(b"netfault:secret").decode()
            for given in ("Bearer secret", f"Basic {basic}"):
                assert (
                    serving.ask("GET", "/proxies", host=there, headers={"Authorization": given}).status == 200
                )
            for wrong in ("Bearer wrong", "Bearer", "Basic !", "Basic bmV0ZmF1bHQ=", "secret"):
                assert (
                    serving.ask("GET", "/proxies", host=there, headers={"Authorization": wrong}).status == 401
                )
            assert not any("secret" in line for line in serving.started)

    def test_a_token_is_drawn_and_logged(self) -> None:
        with Serving("--host=0.0.0.0", env={"LOG_LEVEL": "info"}) as serving:
            code, log = serving.end()
            assert code == 0
            assert "needs the token, which is " in "\n".join([*serving.started, log])

    def test_nobody_needs_one_if_that_is_said(self) -> None:
        with Serving("--host=0.0.0.0", "--no-token") as serving:
            assert serving.ask("GET", "/proxies", host=elsewhere()).status == 200

    def test_by_default_only_this_machine_can_connect(self) -> None:
        with Serving() as serving, pytest.raises(OSError):
            socket.create_connection((elsewhere(), serving.port), timeout=30).close()


class TestLog:
    def test_no_name_goes_into_it_unescaped(self) -> None:
        with Serving(env={"LOG_LEVEL": "debug"}) as serving:
            name = "\x1b[2J\n::error::x\u202e"
            serving.create(name, "127.0.0.1:1")
            serving.ask("GET", "/proxies/%1b[2J%0A%3A%3Aerror%3A%3Ax%E2%80%AE")
            serving.ask("GET", "/proxies/x%0A%1b[2J")
            log = serving.end()[1]
        assert "/proxies/" in log
        assert "\x1b" not in log
        assert "\u202e" not in log
        assert all(line[:4].isdigit() for line in log.splitlines() if line)
