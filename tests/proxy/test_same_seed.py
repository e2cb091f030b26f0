"""Every random choice comes from the seed: two processes with the same seed damage the same bytes by the same drawings.

Each process writes down, for each connection and direction, the positions of the damaged bytes, what they became, and
how late each position is by the jitter. The pieces in which the bytes travel differ on purpose.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import json, socket, sys
from pytest_netfault.control import NetFault

seed, chunk = map(int, sys.argv[1:])
SIZE = 300_000

def carry(sender, receiver):
    got = b""
    for start in range(0, SIZE, chunk):
        piece = bytes(min(chunk, SIZE - start))
        sender.sendall(piece)
        end = start + len(piece)
        while len(got) < end:
            got += receiver.recv(1 << 20)
    return got

seen = {}
with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=seed) as net:
    link = net.forward(server.getsockname())
    link.corrupt(0.001)
    link.corrupt(0.0003, "down")
    link.delay(0.0001, jitter=0.0002)
    for number in (1, 2, 3):
        with socket.create_connection((link.host, link.port)) as client, server.accept()[0] as upstream:
            for direction, got in (("up", carry(client, upstream)), ("down", carry(upstream, client))):
                seen[f"damage #{number} {direction}"] = [(at, got[at]) for at in range(SIZE) if got[at]]
                pipe = getattr(link._link.connections.live[number], direction)
                jitter = pipe.flow.stages[-1]
                seen[f"jitter #{number} {direction}"] = [
                    jitter.lateness(position).hex() for position in range(0, 100_000, 997)
                ]
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    """What each process has seen; they run at the same time."""
    runs = {"one": ("7", "50000"), "two": ("7", "33333"), "another seed": ("8", "50000")}
    running = {
        name: subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, arguments in runs.items()
    }
    told = {}
    for name, process in running.items():
        out, err = process.communicate()
        assert process.returncode == 0, err
        told[name] = json.loads(out)
    return told


@pytest.mark.slow
def test_the_same_seed_damages_the_same_bytes_and_draws_the_same_jitter(seen: Any) -> None:
    assert seen["one"] == seen["two"]


@pytest.mark.slow
def test_each_connection_and_direction_has_drawings_of_its_own(seen: Any) -> None:
    for what in ("damage", "jitter"):
        drawn = [json.dumps(value) for name, value in seen["one"].items() if name.startswith(what)]
        assert len(set(drawn)) == len(drawn) == 6


def test_another_seed_draws_otherwise(seen: Any) -> None:
    for name, value in seen["one"].items():
        assert value, f"{name}: nothing was drawn"
        assert value != seen["another seed"][name]


def test_a_direction_with_two_faults_is_damaged_more_often(seen: Any) -> None:
    """The check of the script itself: about 300 of 300,000 bytes one way, and 390 the other."""
    for number in (1, 2, 3):
        assert 200 < len(seen["one"][f"damage #{number} up"]) < 400
        assert 270 < len(seen["one"][f"damage #{number} down"]) < 520
