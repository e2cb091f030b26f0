"""Every way out of ``netfault`` is one of its exit codes and means what the help says.

Exit code 1 is read by CI as "an update was lost": no crash may end with it, and none with 0. What cannot be done is one
line on standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_netfault import verify
from pytest_netfault.cli import main
from pytest_netfault.cli.exit_codes import guarded
from pytest_netfault.common import files
from pytest_netfault.proof.tally import Tally
from pytest_netfault.schedules import Break, Heal, Schedule, Sever, Subscribe, WaitForEvents, Write

CODES = {0, 1, 2, 3}
LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Heal(), Write("b")])
RECORDED = {"schedule": LOSS.to_json(), "seed": 3, "promise": "every-event", "settle": 0.6}
KEPT: dict[str, Any] = {
    "promise": "every-event",
    "start_revision_exclusive": 1,
    "log": [{"revision": 2, "events": [{"type": "put", "key": "k", "value": "1"}]}],
    "stream": [{"events": [{"type": "put", "key": "k", "value": "1", "revision": 2}]}],
    "quiet_at_end": True,
}
BROKEN = {**KEPT, "stream": []}
PART: dict[str, Any] = {
    "call": "sweep",
    "shard": "1/1",
    "seed": 7,
    "counted": asdict(Tally(examples=3, faults=3, met=3, faults_that_met_traffic=3, acknowledged=3)),
    "seconds": 1.0,
    "holes": [],
    "sweep": None,
    "lost": None,
}


def run(
    *arguments: object, encoding: str = "", timeout: float = 60, **how: Any
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **({"PYTHONIOENCODING": encoding} if encoding else {})}
    command = [sys.executable, "-m", "pytest_netfault", *(os.fsencode(str(one)) for one in arguments)]
    return subprocess.run(command, capture_output=True, timeout=timeout, env=environment, check=False, **how)


def assert_one_line(done: subprocess.CompletedProcess[bytes], *words: str) -> None:
    told = done.stderr.decode()
    assert done.returncode == 2, (done.returncode, done.stdout, told)
    assert len(told.splitlines()) == 1, told
    assert "Traceback" not in told
    for word in words:
        assert word in told


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: code, output, errors."""

    def ran(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(one) for one in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return ran


# -- what is in a file --------------------------------------------------------------------------------------------

DIGITS = "9" * 400


@pytest.mark.parametrize("digits", [DIGITS, f"-{DIGITS}", "1e400", "9" * 4_000])
def test_a_time_that_no_clock_shows_is_unreadable(digits: str, place: Path, told: Any) -> None:
    path = place / "h.jsonl"
    path.write_text(
        f'{{"process": 1, "type": "invoke", "op": "read", "time": {digits}}}\n'
        '{"process": 1, "type": "ok", "value": null, "time": 2}\n'
    )
    code, out, err = told("judge", path)
    assert (code, out) == (2, "")
    assert re.match(rf"{re.escape(str(path))}:1: time must be a number of seconds, not ", err)


@pytest.mark.parametrize("name", ["settle", "seed"])
@pytest.mark.parametrize("digits", [DIGITS, f"-{DIGITS}", "1e400"])
def test_a_recorded_number_that_cannot_be_meant_is_named(
    name: str, digits: str, place: Path, told: Any
) -> None:
    path = place / "t.json"
    path.write_text(json.dumps({**RECORDED, name: "HERE"}).replace('"HERE"', digits))
    code, _, err = told("replay", path, "--store", f"{place}/none.py:x")
    assert code == 2
    assert len(err.splitlines()) == 1
    if name == "settle" or digits == "1e400":
        assert f"{name} must be" in err


@pytest.mark.parametrize("member", ["settle", "seconds", "counted", "seed"])
def test_a_part_with_a_number_of_400_digits_is_no_crash(member: str, place: Path, told: Any) -> None:
    path = place / "p.json"
    of = dict.fromkeys(PART["counted"], 10**399) if member == "counted" else 10**399
    path.write_text(json.dumps({**PART, member: of}))
    code, _, err = told("merge", path)
    assert code in CODES - {1}
    assert "Traceback" not in err


def test_a_part_that_counts_less_than_nothing_is_none(place: Path, told: Any) -> None:
    path = place / "p.json"
    path.write_text(json.dumps({**PART, "counted": {**PART["counted"], "examples": -3}}))
    assert told("merge", path) == (
        2,
        "",
        f"netfault merge: {path}: no part of a proof: counted.examples must be at least 0, not -3\n",
    )


@pytest.mark.parametrize("levels", [500, 985, 990, 1_000, 5_000, 100_000])
@pytest.mark.parametrize("around", ["{}", '{{"cases": [{}]}}', '{{"stream": {}, "promise": {}}}'])
@pytest.mark.parametrize("command", ["judge", "merge", "replay"])
def test_deep_nesting_is_one_sentence(levels: int, around: str, command: str, place: Path, told: Any) -> None:
    path = place / "deep.json"
    path.write_text(around.format(*["[" * levels + "]" * levels] * 2))
    more = ["--store", "x:y"] if command == "replay" else []
    code, out, err = told(command, path, *more)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert len(err) < 1_000 + len(str(path))


@pytest.mark.parametrize("levels", [300, 900, 985])
def test_deep_values_of_a_history_or_of_acknowledgements(levels: int, place: Path, told: Any) -> None:
    deep = "[" * levels + "]" * levels
    history, acks = place / "h.jsonl", place / "a.json"
    history.write_text(
        f'{{"process": 1, "type": "invoke", "op": "write", "value": {deep}}}\n{{"process": 1, "type": "ok"}}\n'
        f'{{"process": 2, "type": "invoke", "op": "read"}}\n{{"process": 2, "type": "ok", "value": [{deep}]}}\n'
    )
    acks.write_text(
        f'{{"writes": [{{"id": 1, "key": "k", "value": {deep}, "outcome": "ok"}}], "delivered": [], '
        '"final_read": null, "quiet_at_end": true}'
    )
    for path in (history, acks):
        code, _, err = told("judge", path)
        assert code in (1, 2)
        assert "Traceback" not in err
        assert len(err.splitlines()) == (code == 2)


STRICT = ["ascii:strict", "utf-8:strict", "latin-1:strict"]
UGLY = "\ud800\u00e9\u202e\x1b[2J\r\n::error::gone"


@pytest.mark.parametrize("encoding", STRICT)
@pytest.mark.parametrize("as_json", [False, True])
def test_half_a_surrogate_pair_reaches_no_strict_output(encoding: str, as_json: bool, place: Path) -> None:
    path = place / os.fsdecode(b"\xff\xc3\xa9.json")
    lost = {"id": UGLY, "key": UGLY, "value": UGLY, "outcome": "ok"}
    path.write_text(
        json.dumps(
            {
                "cases": [
                    {
                        **BROKEN,
                        "id": UGLY,
                        "log": [{"revision": 2, "events": [{"type": "put", "key": UGLY, "value": UGLY}]}],
                    },
                    {"id": UGLY, "writes": [lost], "delivered": [], "final_read": None, "quiet_at_end": True},
                ]
            }
        )
    )
    done = run("judge", path, *(["--json"] if as_json else []), encoding=encoding)
    assert (done.returncode, done.stderr) == (1, b"")
    if as_json:
        assert json.loads(done.stdout)[1]["id"] == UGLY
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)
    assert not re.search(rb"^\s*::", done.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", STRICT)
def test_a_name_that_cannot_be_encoded_is_still_one_line(encoding: str, place: Path) -> None:
    missing = place / os.fsdecode(b"no\xffsuch\n::error::file")
    for command in (["judge"], ["merge"], ["replay", "--store", "x:y"]):
        assert_one_line(run(*command, missing, encoding=encoding), "\\udcffsuch\\n::error::file")
    assert_one_line(run("judge", "--no\udcff", missing, encoding=encoding), "netfault judge: ")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", STRICT)
def test_the_story_of_a_part_is_printable(encoding: str, place: Path) -> None:
    path = place / "part.json"
    lost = {"told": UGLY, "schedule": LOSS.to_json(), "broken": [UGLY], "repeated": [1, 1], "trace": {}}
    path.write_text(json.dumps({**PART, "lost": lost}))
    done = run("merge", path, encoding=encoding)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"\\x1b[2J\\r\n\\x3a:error::gone\n" in done.stdout


# -- what is no file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["judge"], ["merge"], ["replay", "--store", "x:y"]], ids=lambda one: one[0]
)
def test_what_does_not_end_or_is_no_file_is_one_sentence(command: list[str], place: Path, told: Any) -> None:
    pipe, mute, endless = place / "pipe", place / "mute", place / "endless"
    for path in (pipe, mute, endless):
        os.mkfifo(path)
    huge = place / "huge.json"
    with huge.open("wb") as file:
        file.truncate(files.LARGEST_FILE + 1)
    (place / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "socket"))
        writer = os.open(mute, os.O_RDWR)  # it is held open, and nothing is written
        try:
            for path, words in (
                ("/dev/zero", "it is a device, not a file"),
                ("/dev/null", "it is a device, not a file"),
                (pipe, "nothing was written to it for"),
                (mute, "nothing was written to it for"),
                (place / "socket", "cannot be read: "),
                (huge, "it does not end within 512 MiB"),
                (place / "loop", "Too many levels of symbolic links"),
                (place / ("n" * 5_000), "File name too long"),
                (f"{huge}/below", "Not a directory"),
                ("a\0b", "null"),
                ("", "must name a file or a folder, not ''"),
            ):
                code, out, err = told(*command, path)
                assert (code, out, len(err.splitlines())) == (2, "", 1), (path, code, out, err)
                assert words in err, path
        finally:
            os.close(writer)


def test_a_pipe_that_goes_on_for_ever_is_given_up(
    place: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = place / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "_PATIENCE_SECONDS", 30.0)
    monkeypatch.setattr(files, "LARGEST_FILE", 1 << 20)

    def pour() -> None:
        with contextlib.suppress(BrokenPipeError), pipe.open("wb", buffering=0) as file:
            while True:
                file.write(b"0" * 65_536)

    pouring = threading.Thread(target=pour)
    pouring.start()
    code, _, err = told("judge", pipe)
    pouring.join(30)
    assert (code, err) == (2, f"{pipe}: cannot be read: it does not end within 1 MiB\n")


def test_a_pipe_that_ends_is_judged_like_a_file(
    place: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = place / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "_PATIENCE_SECONDS", 30.0)
    writing = threading.Thread(target=pipe.write_text, args=(json.dumps(KEPT),))
    writing.start()
    assert told("judge", pipe) == (0, f"{pipe}: kept\n", "")
    writing.join(30)


# -- where the output goes ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["judge"], ["judge", "--json"], ["merge"]], ids=" ".join)
def test_an_output_that_cannot_be_written_is_code_2(arguments: list[str], place: Path) -> None:
    path = place / "f.json"
    path.write_text(json.dumps(PART if arguments == ["merge"] else BROKEN))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_netfault", *arguments, path],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    name = f"netfault {arguments[0]}"
    assert done.stderr.decode() == f"{name}: the output cannot be written: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["judge", "--help"], ["replay", "--help"], []]
)
def test_help_that_cannot_be_written_is_code_2(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_netfault", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize(("case", "code"), [(KEPT, 0), (BROKEN, 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_reader_that_leaves_early_changes_no_verdict(
    case: dict[str, Any], code: int, as_json: bool, place: Path
) -> None:
    path = place / "many.json"
    path.write_text(json.dumps({"cases": [{**case, "id": "x" * 2_000}] * 500}))
    command = [sys.executable, "-m", "pytest_netfault", "judge", str(path), *(["--json"] if as_json else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == code


@pytest.mark.slow
@pytest.mark.parametrize(("case", "code"), [(KEPT, 0), (BROKEN, 1), ({}, 2)])
def test_closed_streams_change_no_verdict(case: dict[str, Any], code: int, place: Path) -> None:
    path = place / "f.json"
    path.write_text(json.dumps(case))
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-m", "pytest_netfault", "judge", path],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (closed, done)
        assert b"Traceback" not in done.stderr


# -- what a store module does -------------------------------------------------------------------------------------

MODULES = {
    "sys.exit(0)": "import sys; sys.exit(0)",
    "SystemExit": "raise SystemExit",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "MemoryError": "raise MemoryError",
    "RecursionError": "def f(): f()\nf()",
    "BaseException": "class Mine(BaseException): pass\nraise Mine('a\\nb\\x1b')",
    "SyntaxError": "def",
    "null byte": "x = '\0'",
    "no words": "class Mute(Exception):\n  def __str__(self): raise ValueError\nraise Mute",
}
CALLS = {
    "open": "def open_store(address): {raise_}",
    "made late": "def open_store(address):\n  class S: pass\n  s = S()\n  s.put = None\n  {raise_}",
    "server": "open_store = print\ndef server(): {raise_}",
}
RAISED = [
    "raise SystemExit(0)",
    "raise KeyboardInterrupt",
    "raise MemoryError",
    "raise GeneratorExit",
    "import pytest; pytest.skip('x')",
]


@pytest.fixture
def trace(place: Path) -> Path:
    path = place / "lost.json"
    path.write_text(json.dumps(RECORDED))
    return path


@pytest.mark.parametrize("what", MODULES)
def test_a_store_module_that_raises_is_no_verdict(what: str, place: Path, trace: Path, told: Any) -> None:
    module = place / "stores.py"
    module.write_text(MODULES[what])
    code, out, err = told("replay", trace, "--store", f"{module}:open_store")
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith("netfault replay: ")


@pytest.mark.slow
@pytest.mark.parametrize("where", CALLS)
@pytest.mark.parametrize("raised", RAISED)
def test_whatever_a_client_or_a_server_raises_is_no_verdict(
    where: str, raised: str, place: Path, trace: Path, told: Any
) -> None:
    module = place / "stores.py"
    toy = "from support.mutants import toy\nserver = toy.ToyServer\n"
    module.write_text(toy + CALLS[where].format(raise_=raised))
    code, out, err = told("replay", trace, "--store", f"{module}:open_store", "--server", f"{module}:server")
    assert (code, out, len(err.splitlines())) == (2, "", 1), err


@pytest.mark.slow
def test_the_process_itself_ends_with_2(place: Path, trace: Path) -> None:
    module = place / "stores.py"
    module.write_text(MODULES["sys.exit(0)"])
    assert_one_line(
        run("replay", trace, "--store", f"{module}:open_store"), "SystemExit: 0 (stores.py, line 1)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("status", [0, 1])
def test_a_client_that_ends_the_process_is_no_verdict(status: int, place: Path, trace: Path) -> None:
    module = place / "stores.py"
    module.write_text(
        "import os, threading\n"
        f"dying = threading.Thread(target=os._exit, args=({status},))\n"
        "if not os.fork(): os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.wait()[1]) == 7\n"
        "dying.start()\ndying.join()\n"
    )
    done = run("replay", trace, "--store", f"{module}:open_store")
    assert_one_line(done, f"netfault replay: something ended the process with os._exit({status})")
    leave = os._exit
    assert guarded("x", lambda: int(os._exit is leave)) == 0
    assert os._exit is leave


# -- Ctrl-C -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_is_130_and_one_line(place: Path, trace: Path) -> None:
    module = place / "stores.py"
    module.write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    command = [
        sys.executable,
        "-m",
        "pytest_netfault",
        "replay",
        str(trace),
        "--store",
        f"{module}:open_store",
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGINT)
        told = process.stderr.read().decode()
        assert process.wait(60) == 130
    assert told == "netfault replay: interrupted; everything it had started has ended\n"


def test_where_ctrl_c_is_ignored_nothing_is_an_interruption() -> None:
    """As under ``nohup``, or in a background job of a shell: whoever raises KeyboardInterrupt is not a person."""

    def pretend() -> int:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert guarded("x", pretend) == 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_only_ctrl_c_is_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    def press() -> int:
        signal.raise_signal(signal.SIGINT)  # handled before this returns
        return 0

    def pretend() -> int:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert guarded("x", press) == 130
        assert guarded("x", pretend) == 2
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "x: interrupted; everything it had started has ended"
    assert second.startswith("x: something raised KeyboardInterrupt (test_exit_codes.py, line ")


# -- the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["judge"],
        ["judge", "--no-such-option", "x"],
        ["judge", "x", "--model", "a\nb"],
        ["merge"],
        ["replay", "x"],
        ["replay", "x", "--store", "x:y", "--times", "9" * 5_000],
        ["replay", "x", "--store", "x:y", "--seed", "9" * 5_000],
        ["replay", "x", "--store", "x:y", "--settle", "9" * 5_000],
        ["replay", "x", "--store", "x:y", "--times", "x"],
        ["demo", "--seed", "-1"],
        ["demo", "--seed", "9" * 5_000],
        ["demo", "--examples", "1e3"],
        ["demo", "--etcd", "n" * 5_000],
        ["demo", "--etcd", "\udcff:1"],
        ["demo", "--etcd", "a\nb:1"],
    ],
    ids=lambda one: " ".join(one)[:40].encode("unicode_escape").decode(),
)
def test_wrong_arguments_are_one_line(arguments: list[str], told: Any) -> None:
    code, _, err = told(*arguments)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert len(err) <= 1_001


@pytest.mark.parametrize(
    ("caught", "came", "code"),
    [
        (True, "kept", 0),
        (False, "kept", 3),
        (True, "nothing", 3),
        (False, "nothing", 3),
        (True, "lost", 1),
        (False, "lost", 1),
    ],
)
def test_the_demo_ends_with_1_only_if_the_wrapper_lost_something(caught: bool, came: str, code: int) -> None:
    from pytest_netfault.cli.demo import _conclude

    report = Tally(examples=3).report(seconds=1.0, seed=1)
    outcomes: dict[str, Any] = {
        "kept": report,
        "nothing": verify.ProvedNothing("x", report=report),
        "lost": verify.UpdateLost("x", schedule=LOSS, trace={}, broken=("reliable",)),
    }
    said: list[str] = []
    assert _conclude(caught, outcomes[came], said.append) == code
    assert len(said) == 1


def test_the_help_of_each_command_names_its_codes(told: Any) -> None:
    for command in ("demo", "judge", "replay", "merge"):
        code, out, err = told(command, "--help")
        assert (code, err) == (0, "")
        words = " ".join(out.split())
        assert re.search(r"(code|status): 0 .* 1 .*2 .*3 ", words), words
    whole = " ".join(told("--help")[1].split())
    assert re.search(r"0 when .* 1 when .* 2 when .* 3 when .*130 after Ctrl-C", whole)


# -- everything else ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """One of our formats with some of its members replaced, cut, or made of anything."""
    text = json.dumps(draw(st.sampled_from([KEPT, BROKEN, RECORDED, PART, {"cases": [KEPT]}])))
    document = json.loads(text)
    for _ in range(draw(st.integers(0, 2))):
        inner = document
        while True:
            name = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            if not isinstance(inner[name], (dict, list)) or not inner[name] or draw(st.booleans()):
                inner[name] = draw(JSON)
                break
            inner = inner[name]
    data = json.dumps(document).encode()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 30)) :]
    return data


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=contents() | st.binary(max_size=60),
    command=st.sampled_from(["judge", "merge", "replay"]),
    as_json=st.booleans(),
)
def test_whatever_a_file_holds_the_code_is_one_of_four(
    data: bytes, command: str, as_json: bool, place: Path, told: Any
) -> None:
    path = place / "f"
    path.write_bytes(data)
    more = {"judge": ["--json"] if as_json else [], "merge": [], "replay": ["--store", "no/such.py:x"]}[
        command
    ]
    code, _out, err = told(command, path, *more)
    assert code in CODES, err
    assert "Traceback" not in err
    assert (code == 2) == bool(err)
    if command != "judge":
        assert len(err.splitlines()) == (code == 2)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arguments=st.lists(
        st.sampled_from(
            ["judge", "merge", "replay", "--json", "--model", "kv", "--store", "--times", "--seed"]
        )
        | st.text(st.characters(exclude_characters="/."), max_size=12),
        max_size=5,
    )
)
@pytest.mark.usefixtures("place")
def test_whatever_the_arguments_are_the_code_is_one_of_four(arguments: list[str], told: Any) -> None:
    assume("demo" not in arguments)
    code, out, err = told(*arguments)
    assert code in CODES - {1}
    assert "Traceback" not in err
    if code == 2 and "judge" not in arguments:
        assert len(err.splitlines()) == 1
    assert code == 2 or out


def test_merge_raises_what_it_says(place: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: File name too long"):
        verify.merge(place / ("n" * 5_000))
