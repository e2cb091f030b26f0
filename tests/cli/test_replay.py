"""``netfault replay``: a recorded loss is seen again, and what is wrong with the command line is one sentence."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.cli.recorded import read_recorded
from pytest_netfault.cli.replay import add_parser, run_replay
from pytest_netfault.schedules import Break, Forget, Heal, Schedule, Sever, Subscribe, WaitForEvents, Write

TESTS = Path(__file__).parents[1]
LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Heal(), Write("b")])

STORES = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from support.mutants import toy

open_right = toy.RightStore
open_server = toy.ToyServer
number = 7

class FromNow(toy.RightStore):
    def resume_at(self):
        return None
    def on_events(self, revision, changes):
        self.next = 0
        super().on_events(revision, changes)

class Deaf(toy.RightStore):
    idle_seconds = None

class NoAddress:
    closed = False
    def close(self):
        NoAddress.closed = True

def open_broken(address):
    raise OSError("no such host")

def no_server():
    raise OSError("it is not installed")
"""


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    path = tmp_path / "replay_stores.py"
    path.write_text(STORES)
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "lost.json"
    path.write_text(
        json.dumps({"schedule": LOSS.to_json(), "seed": 3, "promise": "every-event", "settle": 0.6})
    )
    return path


def options(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["replay", *map(str, arguments)])


def replay(*arguments: object) -> tuple[int, str]:
    out = io.StringIO()
    return run_replay(options(*arguments), out=out), out.getvalue()


def test_a_loss_is_seen_again_with_what_was_recorded(trace: Path, stores: Path, tmp_path: Path) -> None:
    code, told = replay(
        trace,
        "--store",
        f"{stores}:FromNow",
        "--server",
        f"{stores}:open_server",
        "--report-dir",
        tmp_path / "again",
    )
    assert code == 1
    assert "An update was lost" in told
    assert "settle=0.6, seed=3" in told
    (again,) = (tmp_path / "again").glob("*.json")
    assert read_recorded(again) == read_recorded(trace)  # what it leaves behind is what it was given


@pytest.mark.slow
def test_a_dead_flow_is_given_the_time_that_was_recorded(stores: Path, tmp_path: Path) -> None:
    path = tmp_path / "dead.json"
    dead = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Forget()), Write("a")])
    path.write_text(json.dumps({"schedule": dead.to_json(), "notice": 1.5}))
    where = ["--store", f"{stores}:Deaf", "--server", f"{stores}:open_server"]
    code, told = replay(path, *where, "--report-dir", tmp_path / "again")
    assert (code, "never noticed a dead flow" in told, "(notice=1.5)" in told) == (1, True, True)
    (again,) = (tmp_path / "again").glob("*.json")
    assert read_recorded(again).notice == 1.5
    code, told = replay(path, *where, "--notice", 0.5)
    assert (code, "(notice=0.5)" in told) == (1, True)


def test_a_client_that_was_mended_keeps_its_promise(trace: Path, stores: Path) -> None:
    code, told = replay(
        trace, "--store", f"{stores}:open_right", "--server", f"{stores}:open_server", "--times", 2
    )
    assert code == 0
    assert told.startswith("kept: nothing lost in 1 example,")
    assert told.endswith("lost in 0 of 2 plays\n")


def test_a_play_without_a_fault_proves_nothing(tmp_path: Path, stores: Path) -> None:
    path = tmp_path / "calm.json"
    path.write_text(json.dumps(Schedule([Subscribe(), Write("a")]).to_json()))
    code, told = replay(path, "--store", f"{stores}:open_right", "--server", f"{stores}:open_server")
    assert code == 3
    assert "nothing was proved" in told


@pytest.mark.slow
def test_the_command_plays_it_on_a_real_etcd(trace: Path, etcd_server: Any) -> None:
    store = Path(__file__).parents[2] / "docs" / "examples" / "stores" / "runtime_config_store.py"
    where = ["--store", f"{store}:open_store", "--server", f"etcd:{etcd_server.address}", "--settle", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest_netfault", "replay", str(trace), *where],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kept: ")


@pytest.mark.slow
def test_a_module_is_looked_for_in_the_current_folder(trace: Path, stores: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest_netfault", "replay", str(trace), "--store", "replay_stores:number"],
        capture_output=True,
        text=True,
        cwd=stores.parent,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "netfault replay: --store replay_stores:number must be a function that takes an address and returns a Store, "
        "not 7\n"
    )


@pytest.mark.parametrize(
    ("store", "server", "told"),
    [
        ("open_store", "etcd", r"^--store must be MODULE:NAME, such as stores:open_store, not 'open_store'$"),
        (
            "no_such_module_here:x",
            "etcd",
            r"importing no_such_module_here failed: ModuleNotFoundError: No module",
        ),
        ("no/such/file.py:x", "etcd", r"^--store no/such/file.py:x: there is no file no/such/file.py$"),
        ("no-module:x", "etcd", r"'no-module' is neither the name of a module nor a file that ends in .py"),
        ("{stores}:nobody", "etcd", r"has no nobody$"),
        ("{stores}:open_right", "etcd:/no/such/etcd", r"^--server etcd: .*/no/such/etcd"),
        ("{stores}:open_right", "{stores}:number", r"server must be an object with an address"),
        ("{stores}:open_right", "{stores}:NoAddress", r"server must be an object with an address"),
        (
            "{stores}:open_right",
            "{stores}:no_server",
            r"it did not start: OSError: it is not installed \(replay_st",
        ),
        (
            "{stores}:open_broken",
            "{stores}:open_server",
            r"^the client or the server failed: OSError: no such host",
        ),
    ],
)
def test_what_is_wrong_with_the_store_or_the_server_is_one_sentence(
    trace: Path, stores: Path, store: str, server: str, told: str
) -> None:
    with pytest.raises(CommandFailed, match=told) as caught:
        replay(trace, "--store", store.format(stores=stores), "--server", server.format(stores=stores))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", r"lost.json:1: not JSON"),
        ("[]", r"lost.json:1: there is no schedule in it: only a trace"),
        ('{"log": []}', r"lost.json:1: there is no schedule in it"),
        (
            '{\n"schedule": 7}',
            r"lost.json:2: the schedule cannot be played: a schedule must be a JSON object",
        ),
        ('{\n"schedule": {"steps": []}}', r"lost.json:2: .*exactly one Subscribe\(\), not 0"),
        (
            '{"schedule": {"steps": [\n{"step": "subscribe"},\n{"step": "fly"}]}}',
            r"lost.json:3: the schedule cannot be played: step 2: step must be one of .*, not 'fly'",
        ),
        (
            '{"schedule": {"steps": [{"step": "subscribe"}]},\n"seed": "x"}',
            r"lost.json:2: seed must be a whole",
        ),
        (
            '{"schedule": {"steps": [{"step": "subscribe"}]},\n"settle": -1}',
            r"lost.json:2: settle must be more",
        ),
        (
            '{"schedule": {"steps": [{"step": "subscribe"}]},\n"notice": "long"}',
            r"lost.json:2: notice must be more",
        ),
        (
            '{"schedule": {"steps": [{"step": "subscribe"}]},\n"promise": "x"}',
            r"lost.json:2: promise must be",
        ),
    ],
)
def test_a_damaged_trace_is_one_sentence_with_its_line(trace: Path, text: str, told: str) -> None:
    trace.write_text(text)
    with pytest.raises(CommandFailed, match=told):
        read_recorded(trace)


def test_a_trace_that_is_not_there_and_the_schedule_beside_one(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"nowhere.json: cannot be read: No such file"):
        read_recorded(tmp_path / "nowhere.json")
    with pytest.raises(CommandFailed, match=r"lost.py: give the trace, lost.json, which stands beside it"):
        read_recorded(tmp_path / "lost.py")
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    with pytest.raises(CommandFailed, match=r"bytes.json: not UTF-8: byte 0xff"):
        read_recorded(tmp_path / "bytes.json")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--times", "0"], "--times must be at least 1, not 0"),
        (["--settle", "nan"], "--settle must be more than 0"),
        (["--notice", "0"], "--notice must be more than 0"),
    ],
)
def test_wrong_numbers_are_named(trace: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(CommandFailed, match=told):
        replay(trace, "--store", "x:y", *arguments)
