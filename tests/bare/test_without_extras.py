"""What the core does alone, with pytest and trio and nothing else.

The environment ``bare`` of tox runs these without any extra installed; everywhere else the extras are hidden from a
subprocess, so that the sentences which name them are tested on every machine.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

from pytest_netfault import NetFault

EXTRAS = ("hypothesis", "docker", "jinja2", "rich", "grpc", "etcd3", "hypercorn", "starlette", "trustme")

HIDE = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None
"""


def without_extras(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HIDE + code], capture_output=True, text=True)


def echo_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(1024):
            connection.sendall(data)


def test_a_link_forwards_and_breaks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=1) as net:
        worker = threading.Thread(target=echo_once, args=(server,))
        worker.start()
        link = net.forward(server.getsockname())
        with socket.create_connection((link.host, link.port), timeout=10) as client:
            client.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
            with link.sever():
                assert client.recv(1) == b""
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((link.host, link.port), timeout=10)
        worker.join(10)
        assert not worker.is_alive()


def test_the_fixtures_work(netfault: NetFault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert netfault.forward(server.getsockname()).port > 0


def test_strategies_without_hypothesis_name_the_extra() -> None:
    run = without_extras(
        "try:\n"
        "    from pytest_netfault.schedules import schedules\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert run.returncode == 0, run.stderr
    assert "pip install 'pytest-netfault[hypothesis]'" in run.stdout
    assert len(run.stdout.splitlines()) == 1


@pytest.mark.slow
def test_what_a_loss_prints_can_be_pasted() -> None:
    run = without_extras(
        "from pytest_netfault.schedules import *\n"  # what older reports hold
        "from pytest_netfault import Break, Sever, Subscribe, Write, verify\n"
        "from pytest_netfault.schedules.schedule import imports_for\n"
        "schedule = Schedule([Subscribe(), Break(Sever()), Write('a')])\n"
        "exec(imports_for(schedule, 'verify'), names := {})\n"
        "assert eval(str(schedule), names) == schedule\n"
        "assert names['verify'].replay\n"
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_the_demo_without_extras_says_one_sentence() -> None:
    run = without_extras(
        "sys.modules['runtime_config'] = None\nfrom pytest_netfault.cli import main\nsys.exit(main(['demo']))"
    )
    assert run.returncode == 2
    assert "pip install" in run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr


def test_serving_names_the_extra() -> None:
    run = without_extras("from pytest_netfault.cli import main\nsys.exit(main(['serve', '--port=0']))")
    assert run.returncode == 2
    assert "pip install 'pytest-netfault[serve]'" in run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr


def test_judging_needs_no_extra() -> None:
    run = without_extras("from pytest_netfault.cli import main\nsys.exit(main(['judge', '/nowhere.json']))")
    assert run.returncode == 2
    assert "/nowhere.json" in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_tls_links_without_trustme_name_the_extra() -> None:
    run = without_extras("from pytest_netfault import NetFault\nNetFault().forward(80, tls=True)")
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: TLS links make certificates with trustme")
    assert "pip install 'pytest-netfault[tls]'" in last
