"""``netfault prove``: the proof, folder and summary of a test, exit codes, and one sentence for what is wrong."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from pytest_netfault import verify
from pytest_netfault.cli import main, prove
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.faults import Cut, Sever
from pytest_netfault.proof import losses
from pytest_netfault.proof.announce import announced
from pytest_netfault.proof.results import Kept
from pytest_netfault.verify import no_update_lost as signed

TESTS = Path(__file__).parents[1]

# A small store, a client that is right, and one that comes back after a break and watches from now on.
STORES = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from support.mutants import toy
from pytest_netfault import Sever, WriteRejected

right = toy.RightStore
open_server = toy.ToyServer
number = 7
five = Sever()

class FromNow(toy.RightStore):
    def resume_at(self):
        return None
    def on_events(self, revision, changes):
        self.next = 0
        super().on_events(revision, changes)

class Rejects(toy.RightStore):
    def put_many(self, changes):
        raise WriteRejected("read only")

class Unsubscribed(toy.RightStore):
    def subscribe(self, prefix, deliver):
        raise OSError("not today")

class Leaky(toy.RightStore):
    def close(self):
        super().close()
        __import__("time").sleep(1.5)

class Chatty(toy.ToyServer):
    def output(self, lines):
        return f"the last {{lines}} lines"

class Described(toy.ToyServer):  # as OwnedServer, whose address is a property of the class
    address = property(lambda self: self.real, lambda self, address: setattr(self, "real", address))

def open_broken(address):
    raise OSError("no such host")

def leave(address):
    sys.exit(0)

def no_server():
    raise OSError("it is not installed")
"""
QUICK = ("--settle", "0.2")  # of a loss, whose every play waits so long for what does not come
SHORT = ["--max-examples", "3", "--notice", "none", "--settle", "0.5", "--seed", "1"]


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NETFAULT_SEED", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setattr(losses, "SHRINK_SECONDS", 0.5)  # how small it gets is tested elsewhere
    monkeypatch.setattr(losses, "RATING_SECONDS", 0.5)
    path = tmp_path / "prove_stores.py"
    path.write_text(STORES)
    return path


def proved(path: Path, client: str, *more: object, server: str = "open_server") -> tuple[int, str]:
    out = io.StringIO()
    words = [f"{path}:{client}", "--server", f"{path}:{server}", *SHORT, *map(str, more)]
    return prove.run_prove(_options(*words), out=out), out.getvalue()


def _options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    prove.add_parser(parser.add_subparsers())
    return parser.parse_args(["prove", *words])


@pytest.mark.slow
def test_a_right_client_is_kept_and_leaves_nothing(stores: Path, tmp_path: Path) -> None:
    code, told = proved(stores, "right", "--output", tmp_path / "out")
    assert code == 0
    kept, summary = told.splitlines()
    assert kept.startswith("kept: nothing lost in 3 examples, 0 inconclusive, ")
    assert summary.startswith("netfault: seed 1, proofs: 1 kept, 3 examples, ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_server_may_be_a_class_whose_address_is_a_property(stores: Path) -> None:
    assert proved(stores, "right", server="Described")[0] == 0


@pytest.mark.slow
def test_a_loss_leaves_what_it_leaves_in_a_test(stores: Path, tmp_path: Path) -> None:
    code, told = proved(
        stores,
        "FromNow",
        *QUICK,
        "--output",
        tmp_path / "out",
        "--summary",
        tmp_path / "s.md",
        server="Chatty",
    )
    assert code == 1
    assert told.startswith("An update was lost: revision ")
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.startswith("prove-")
    assert told.endswith(f"netfault: more in {folder}\n{told.splitlines()[-1]}\n")
    assert "netfault: seed 1, proofs: 1 broken, " in told.splitlines()[-1]
    kinds = sorted(file.suffix for file in folder.iterdir())
    assert kinds == [".html", ".json", ".log", ".py", ".txt"]
    assert (folder / "server.log").read_text() == "the last 200 lines\n"
    failure = (folder / "failure.txt").read_text()
    command = failure.splitlines()[0].partition("to run it again: ")[2]
    where = f"{stores}:FromNow --server={stores}:Chatty"
    assert command == f"netfault prove {where} --max-examples=3 --settle=0.2 --notice=none --seed=1"
    assert "the smallest schedule, for verify.replay(open_store, server, schedule):" in failure
    summary = (tmp_path / "s.md").read_text()
    assert summary.startswith("### netfault: 1 proof, 1 failed\n\nseed 1, proofs: 1 broken, ")
    assert f"| `prove {stores}:FromNow` | broken | An update was lost: revision " in summary
    assert command in summary
    # The trace is one that the other commands take.
    (trace,) = folder.glob("*.json")
    assert main(["judge", str(trace)]) == 1


IN_A_TEST = """
import sys
sys.path.insert(0, {place!r})
import prove_stores
from pytest_netfault import verify
from pytest_netfault.proof import losses
losses.SHRINK_SECONDS = losses.RATING_SECONDS = 0.5

def test_it():
    with prove_stores.Chatty() as server:
        verify.no_update_lost(prove_stores.FromNow, server, max_examples=3, notice=None, settle=0.2)
"""


@pytest.mark.slow
def test_the_folder_and_the_summary_are_those_of_the_plugin(stores: Path, tmp_path: Path) -> None:
    proved(
        stores,
        "FromNow",
        *QUICK,
        "--output",
        tmp_path / "out",
        "--summary",
        tmp_path / "s.md",
        server="Chatty",
    )
    there = tmp_path / "suite"
    there.mkdir()
    (there / "test_it.py").write_text(IN_A_TEST.format(place=str(tmp_path)))
    options = ["--netfault-output=out", "--netfault-summary=s.md", "--netfault-seed=1", "-p", "no:randomly"]
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "-c/dev/null", *options]
    assert subprocess.run(command, cwd=there, capture_output=True, timeout=300, check=False).returncode == 1
    (ours,), theirs_and_index = (tmp_path / "out").iterdir(), (there / "out").iterdir()
    (theirs,) = (path for path in theirs_and_index if path.is_dir())
    # What it has besides is about the links of the test itself, and about servers that tests share.
    assert _kinds(theirs) - {"events.json"} == _kinds(ours) - {"server.log"}
    tables = [
        [line.split("|")[2] for line in (place / "s.md").read_text().splitlines() if line[:1] == "|"]
        for place in (tmp_path, there)
    ]
    assert tables[0] == tables[1]


def _kinds(folder: Path) -> set[str]:
    return {file.suffix if "-seed" in file.name else file.name for file in folder.iterdir()}


@pytest.mark.slow
def test_what_proves_nothing_is_code_3(stores: Path, tmp_path: Path) -> None:
    code, told = proved(stores, "Rejects", "--output", tmp_path / "out", "--summary", tmp_path / "s.md")
    assert code == 3
    assert told.startswith("nothing was proved: ")
    assert "proofs: 1 inconclusive" in told.splitlines()[-1]
    (folder,) = (tmp_path / "out").iterdir()
    assert [file.name for file in folder.iterdir()] == ["failure.txt"]
    assert "nothing was proved: " in (folder / "failure.txt").read_text()
    assert "| inconclusive |" in (tmp_path / "s.md").read_text()


def test_strict_lets_no_inconclusive_example_pass(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = verify.Report(10, 2, 9, 0.1, 30)

    def pretend(*_: object, **__: object) -> verify.Report:
        return verify._returned(announced("no_update_lost", 1, lambda: Kept(report)))

    monkeypatch.setattr(verify, "no_update_lost", pretend)
    assert proved(stores, "right")[0] == 0
    code, told = proved(stores, "right", "--strict")
    assert code == 3
    assert told.startswith("2 of 10 examples were inconclusive, which --strict does not let pass")


def test_every_argument_reaches_the_proof(
    stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def pretend(_open_store: object, _server: object, **arguments: Any) -> verify.Report:
        given.update(arguments)
        return verify.Report(1, 0, 1, 0.1, 1)

    monkeypatch.setattr(verify, "no_update_lost", pretend)
    proved(stores, "right")
    assert given["faults"] is verify.ALL
    assert (given["promise"], given["notice"], given["report_dir"]) == ("every-event", None, None)
    words = (
        "--promise latest-value --max-examples 7 --max-seconds 60.5 --seed 3 --settle 2 --notice 9 --lanes 3"
    )
    faults = ["--faults", f"Sever,cut, {stores}:five", "--shard", "2/8", "--search", "guided"]
    proved(stores, "right", *words.split(), *faults, "--report-dir", tmp_path / "there")
    assert given == {
        "promise": "latest-value",
        "faults": [Sever, Cut, Sever()],
        "max_examples": 7,
        "max_seconds": 60.5,
        "seed": 3,
        "settle": 2.0,
        "notice": 9.0,
        "lanes": 3,
        "shard": "2/8",
        "search": "guided",
        "report_dir": tmp_path / "there",
    }
    names = set(inspect.signature(signed).parameters) - {"open_store", "server", "progress", "executor"}
    assert set(given) == names, "an argument of the proof is no option of the command"


@pytest.mark.slow
def test_parts_are_written_and_merged(stores: Path, tmp_path: Path) -> None:
    for part in ("1/2", "2/2"):
        assert proved(stores, "right", "--shard", part, "--output", tmp_path / "out")[0] == 0
    assert main(["merge", str(tmp_path / "out")]) == 0


@pytest.mark.slow
def test_the_part_may_be_that_of_a_job_of_a_ci_system(
    stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CI_NODE_INDEX", "CI_NODE_TOTAL", "BUILDKITE_PARALLEL_JOB", "TEST_TOTAL_SHARDS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CIRCLE_NODE_TOTAL", "2")
    for index in ("0", "1"):
        monkeypatch.setenv("CIRCLE_NODE_INDEX", index)
        assert proved(stores, "right", "--shard", "auto", "--output", tmp_path / "out")[0] == 0
    assert main(["merge", str(tmp_path / "out")]) == 0


def test_the_seed_is_shown_and_draws_the_same(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETFAULT_SEED", "17")
    out = io.StringIO()
    words = [f"{stores}:right", "--server", f"{stores}:open_server", *SHORT[:-2]]
    assert prove.run_prove(_options(*words), out=out) == 0
    first, *_, last = out.getvalue().splitlines()
    assert first == "netfault: seed 17 (--seed=17 repeats it)"
    assert last.startswith("netfault: seed 17, ")


@pytest.mark.slow
def test_a_summary_for_github_is_nothing_elsewhere(
    stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proved(stores, "right", "--summary", "github")[0] == 0
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    assert proved(stores, "right", "--summary", "github")[0] == 0
    assert (tmp_path / "step.md").read_text().startswith("### netfault: 1 proof, none failed\n")


@pytest.mark.slow
def test_a_client_that_does_not_close_is_named(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert proved(stores, "Leaky", "--max-examples", 1)[0] == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "netfault prove: close() of the client did not return within 0.5 s in 1 of 1 example"
    )


PROGRAM = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "subscribe":
        sys.exit("no such channel")
    print(json.dumps({"id": request["id"], "ok": True}), flush=True)
"""


def test_a_program_that_fails_proves_nothing(
    stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store.py").write_text(PROGRAM)
    words = [
        "--process",
        f"{sys.executable} {tmp_path}/store.py",
        "--server",
        f"{stores}:open_server",
        *SHORT,
    ]
    assert main(["prove", *words]) == 3
    assert "no such channel" in capsys.readouterr().out


# -- what is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name one client: MODULE:NAME, such as stores.py:open_store, or --process with "),
        (["{stores}:right", "--process", "node store.js"], "name one client: "),
        (["{stores}"], "MODULE:NAME must be MODULE:NAME, such as stores:open_store, not "),
        (["{stores}:nobody"], " has no nobody"),
        (["{stores}:number"], "must be a function that takes an address and returns a Store, not 7"),
        (["no_such_module:x"], "importing no_such_module failed: ModuleNotFoundError"),
        (["/no/such/file.py:x"], "there is no file /no/such/file.py"),
        (["--process", "no-such-program --fast"], "there is no program no-such-program"),
        (["--process", "'open quote"], "is no command: No closing quotation"),
        (["--process", ""], "must be a command such as 'node store.js', not an empty one"),
        (["{stores}:right", "--server", "/no/such/etcd"], "--server=/no/such/etcd cannot be used: "),
        (["{stores}:right", "--server", "127.0.0.1:1"], "127.0.0.1:1"),
        (["{stores}:right", "--server", "prove_stores"], "a server of another kind is MODULE:NAME"),
        (
            ["{stores}:right", "--server", "{stores}:no_server"],
            "it did not start: OSError: it is not installed",
        ),
        (["{stores}:right", "--server", "{stores}:number"], "server must be an object with an address"),
        (["{stores}:right", "--faults", "sever,flood"], "--faults must be names of faults (sever, "),
        (["{stores}:right", "--faults", "{stores}:number"], "number is no fault: 7"),
        (["{stores}:right", "--output", "{stores}"], "is a file: name a directory, it is made if need be"),
        (["{stores}:right", "--report-dir", "{stores}/below"], "is a file: name a directory"),
        (["{stores}:right", "--summary", "/tmp"], "/tmp is a directory: name a file"),
        (["{stores}:open_broken"], "the client or the server failed: OSError: no such host"),
        (["{stores}:leave"], "the client or the server failed: SystemExit: 0"),
        (["{stores}:right", "--promise", "all"], "invalid choice: 'all'"),
        (["{stores}:right", "--max-examples", "0"], "must be at least 1, not 0"),
        (["{stores}:right", "--max-seconds", "nan"], "must be more than 0 seconds and finite, not 'nan'"),
        (["{stores}:right", "--settle", "soon"], "must be more than 0 seconds and finite, not 'soon'"),
        (["{stores}:right", "--notice", "0"], "must be more than 0 seconds and finite, not '0'"),
        (
            ["{stores}:right", "--shard", "3/2"],
            "shard must be a number of a number, such as '2/8', not '3/2'",
        ),
        (["{stores}:right", "--seed", "-1"], "must be at least 0, not -1"),
        (["{stores}:right", "--keep", "always"], "invalid choice: 'always'"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_code_2(
    words: list[str], told: str, stores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(stores=stores) for word in words]
    server = [] if "--server" in words else ["--server", f"{stores}:open_server"]
    try:
        code = main(["prove", *words, *server])
    except SystemExit as ended:
        code = int(ended.code or 0)
    shown = capsys.readouterr().err
    assert (code, len(shown.splitlines())) == (2, 1), shown
    assert shown.startswith("netfault prove: ")
    assert told in shown


def test_a_seed_of_the_environment_that_is_none_is_named(
    stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETFAULT_SEED", "x")
    with pytest.raises(CommandFailed, match=r"^NETFAULT_SEED must be a whole number of at most 20 digits"):
        prove.run_prove(_options(f"{stores}:right", "--server", f"{stores}:open_server"))


def test_a_client_that_fails_leaves_why(stores: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="OSError: no such host"):
        proved(stores, "open_broken", "--output", tmp_path / "out", "--summary", tmp_path / "s.md")
    (failure,) = (tmp_path / "out").glob("*/failure.txt")
    assert "OSError: no such host" in failure.read_text()
    assert "OSError: no such host" in (tmp_path / "s.md").read_text()


# -- Ctrl-C -------------------------------------------------------------------------------------------------------

ENDLESS = """
class Announced(toy.RightStore):
    def subscribe(self, prefix, deliver):
        super().subscribe(prefix, deliver)
        print("subscribed", flush=True)
"""


@contextlib.contextmanager
def started(*words: object) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_netfault", "prove", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout
        finally:
            process.kill()


@pytest.mark.slow
def test_ctrl_c_leaves_what_had_happened(stores: Path, tmp_path: Path) -> None:
    stores.write_text(STORES + ENDLESS)
    where = [f"{stores}:Announced", "--server", f"{stores}:open_server", "--notice", "none", "--seed", 1]
    where += ["--lanes", 1]  # so that the second play has ended when the third begins
    with started(*where, "--max-examples", 1_000_000, "--output", tmp_path / "out") as (process, lines):
        for _ in range(3):
            assert lines.readline() == "subscribed\n"
        process.send_signal(signal.SIGINT)
        told, complaint = process.communicate(timeout=300)
        assert process.returncode == 130, complaint
    assert complaint == "netfault prove: interrupted; everything it had started has ended\n"
    (folder,) = (tmp_path / "out").iterdir()
    *_, left, summary = told.splitlines()
    assert left.startswith("netfault: interrupted (Ctrl-C) after ")
    assert left.endswith(f"; what had happened by then is in {folder}")
    assert summary.startswith("netfault: seed 1, proofs: 1 unfinished, ")
    assert {file.name.partition("-")[0] for file in folder.iterdir()} == {"failure.txt", "interrupted"}


@pytest.mark.slow
def test_a_server_is_kept_after_a_failure_until_ctrl_c(stores: Path) -> None:
    where = [f"{stores}:Rejects", "--server", f"{stores}:open_server", *SHORT, "--keep", "on-failure"]
    with started(*where) as (process, lines):
        kept = next(line for line in lines if "is kept" in line)
        assert kept.endswith(" is kept; Ctrl-C ends it\n")
        host, port = kept.partition("the server at ")[2].split()[0].split(":")
        socket.create_connection((host, int(port)), timeout=10).close()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
        assert process.returncode == 3


# -- real ones ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("stores")
def test_a_running_etcd_and_the_files_of_the_documentation(etcd_server: Any, tmp_path: Path) -> None:
    examples = TESTS.parent / "docs" / "examples" / "stores"
    words = [
        "--server",
        etcd_server.address,
        "--faults",
        "sever,reset",
        "--max-examples",
        "5",
        "--notice",
        "none",
    ]
    words += ["--settle", "1", "--seed", "1", "--output", str(tmp_path / "out")]
    kept = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest_netfault",
            "prove",
            f"{examples}/runtime_config_store.py:open_store",
            *words,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert kept.returncode == 0, kept.stderr
    assert main(["prove", f"{examples}/naive_etcd3.py:open_store", *words]) == 1
