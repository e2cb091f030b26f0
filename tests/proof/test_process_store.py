"""A client in a program: the protocol, each way in which a program can fail, and nothing left of it."""

from __future__ import annotations

import json
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import Delivery, Event, Resync, WriteRejected
from pytest_netfault.proof.process_store import OutcomeUnknown, ProcessFailed, ProcessStore

# A program that answers each request with what the test says, and acts on it: `answers` maps "do" to lines to write.
PROGRAM = """
import json, sys
answers = json.loads(sys.argv[1])
for line in sys.stdin:
    request = json.loads(line)
    for answer in answers.get(request["do"], [{"ok": True}]):
        if isinstance(answer, dict) and not answer.keys().isdisjoint(("ok", "unknown", "rejected")):
            answer = {"id": request["id"], **answer}
        print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)
    if request["do"] == "close":
        break
"""


def program(code: str = PROGRAM, **answers: Any) -> ProcessStore:
    return ProcessStore([sys.executable, "-c", textwrap.dedent(code), json.dumps(answers)])


def test_writes_are_acknowledged_unknown_or_rejected() -> None:
    store = program(put=[{"unknown": "deadline exceeded"}], delete=[{"rejected": "too large"}])("h:1")
    try:
        with pytest.raises(OutcomeUnknown, match="deadline exceeded"):
            store.put("r1.a", "1")
        with pytest.raises(WriteRejected, match="too large"):
            store.delete("r1.a")
        assert not hasattr(store, "put_many")
    finally:
        store.close()


def test_transactions_are_there_if_the_program_says_so() -> None:
    store: Any = program(open=[{"ok": True, "transactions": True}])("h:1")
    store.put_many({"r1.a": "1", "r1.b": None})
    store.close()


def test_every_delivery_reaches_the_subscriber() -> None:
    event = {"key": "r1.a", "value": "é", "revision": 12, "unknown to us": 1}
    lines = [
        {"deliver": {"events": [event, {"key": "r1.b", "value": None}]}},
        {"deliver": {"resync": {"revision": None, "kvs": {"r1.a": "1"}}}},
        {"deliver": {"bookmark": 12}},
        {"deliver": {"error": "gave up"}},
        {"log": "reconnecting"},
        {"something": "that nobody knows"},
        {"ok": True},
    ]
    delivered: list[Delivery] = []
    store: Any = program(subscribe=lines)("h:1")
    store.subscribe("r1.", delivered.append)
    store.close()
    assert delivered == [
        Delivery(events=(Event("r1.a", "é", 12), Event("r1.b", None))),
        Delivery(resync=Resync(None, {"r1.a": "1"})),
        Delivery(bookmark=12),
        Delivery(error="gave up"),
    ]
    assert [text for _, text in store.said] == ["reconnecting"]
    assert store.failure is None


def test_answers_may_come_in_any_order() -> None:
    code = """
    import json, sys
    held = []
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "put":
            held.append(request)
            if len(held) < 2:
                continue
            for one in reversed(held):
                print(json.dumps({"id": one["id"], "ok": True} if one["value"] == "1" else
                                 {"id": one["id"], "rejected": one["value"]}), flush=True)
        else:
            print(json.dumps({"id": request["id"], "ok": True}), flush=True)
    """
    store = program(code)("h:1")
    outcomes: dict[str, str] = {}

    def put(value: str) -> None:
        try:
            store.put("r1.a", value)
            outcomes[value] = "ok"
        except WriteRejected as error:
            outcomes[value] = str(error)

    threads = [threading.Thread(target=put, args=(value,)) for value in ("1", "2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == {"1": "ok", "2": "2"}
    store.close()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hello", "a line holds one JSON object"),
        ("[1]", "a line holds one JSON object"),
        ("[" * 100_000, "a line holds one JSON object"),
        ('{"id": 77, "ok": true}', "no request 77 waits for an answer"),
        ('{"id": "a", "ok": true}', "no request 'a' waits for an answer"),
        ('{"id": 2}', "an answer has one of ok, unknown and rejected"),
        ('{"id": 2, "ok": true, "unknown": "no answer"}', "an answer has one of ok, unknown and rejected"),
        ('{"id": 2, "ok": false}', "ok is true; a write that failed is unknown or rejected"),
        ('{"deliver": 1}', "deliver holds an object with events, resync, bookmark or error"),
        ('{"deliver": {}}', "this is no delivery: a Delivery carries exactly one"),
        ('{"deliver": {"events": [{"key": "a"}]}}', "this is no delivery: it lacks 'value'"),
        ('{"deliver": {"events": 1}}', "this is no delivery: "),
        (
            '{"deliver": {"events": [{"key": "a", "value": 1}]}}',
            "this is no delivery: value must be a string",
        ),
        ('{"deliver": {"resync": {"revision": "x", "kvs": {}}}}', "this is no delivery: revision must be"),
        ('{"deliver": {"bookmark": 1, "error": "x"}}', "this is no delivery: a Delivery carries exactly one"),
    ],
)
def test_what_the_protocol_has_not_is_a_failure_in_one_sentence(line: str, why: str) -> None:
    store: Any = program(put=[line])("h:1")
    with pytest.raises(ProcessFailed) as failed:
        store.put("r1.a", "1")
    assert f"wrote {line[:200]!r}: {why}" in str(failed.value)
    assert store.failure == str(failed.value)
    with pytest.raises(ProcessFailed):
        store.delete("r1.a")
    store.close()


def test_a_program_that_ends_early_says_its_last_lines() -> None:
    code = """
    import sys
    sys.stdin.readline()
    print('{"id": 1, "ok": true}', flush=True)
    sys.stdin.readline()
    print("cannot resolve host", file=sys.stderr)
    sys.exit(3)
    """
    store: Any = program(code)("h:1")
    with pytest.raises(
        ProcessFailed, match=r"ended with exit code 3 before it was closed; .*\ncannot resolve host$"
    ):
        store.put("r1.a", "1")
    assert "exit code 3" in store.failure
    store.close()


def test_a_program_that_ends_before_it_has_answered_close_has_failed() -> None:
    code = """
    import json, sys
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "close":
            sys.exit("double free")
        print(json.dumps({"id": request["id"], "ok": True}), flush=True)
    """
    store: Any = program(code)("h:1")
    store.close()
    assert "ended with exit code 1 before it was closed" in store.failure
    assert store.failure.endswith("\ndouble free")


def test_a_program_that_has_answered_close_may_end_as_it_likes() -> None:
    code = """
    import json, os, sys
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"id": request["id"], "ok": True}), flush=True)
        if request["do"] == "close":
            os._exit(7)
    """
    for _ in range(5):
        store: Any = program(code)("h:1")
        store.close()
        assert store.failure is None


def test_a_client_that_was_closed_says_so_and_can_be_closed_again() -> None:
    store: Any = program().open("h:1", close_timeout=60.0)
    store.close()
    for _ in range(2):
        with pytest.raises(ProcessFailed, match=r"was closed$"):
            store.put("r1.a", "1")
        store.close()
    assert store.failure is None


def test_a_program_that_does_not_answer_open_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_netfault.proof.process_store._OPEN_SECONDS", 0.2)
    with pytest.raises(ProcessFailed, match=r"did not answer 'open' within 0\.2 s"):
        program("import time; time.sleep(3600)")("h:1")
    assert [one for one in threading.enumerate() if sys.executable in one.name] == []


def test_a_program_that_cannot_be_found_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="no-such-program is not a program that can be found on PATH"):
        ProcessStore(["no-such-program"])("h:1")
    with pytest.raises(ProcessFailed, match=r"cannot be started: .*nowhere"):
        ProcessStore([sys.executable], folder=tmp_path / "nowhere")("h:1")


@pytest.mark.parametrize("command", ["node store.js", [], [1], b"x"])
def test_a_command_that_is_no_list_is_refused(command: Any) -> None:
    with pytest.raises(TypeError, match=r"command must be a list of strings such as \['node', 'store\.js'\]"):
        ProcessStore(command)


def test_a_program_that_does_not_end_is_killed() -> None:
    code = """
    import json, os, signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    line = json.loads(sys.stdin.readline())
    print(json.dumps({"log": str(os.getpid())}), flush=True)
    print(json.dumps({"id": line["id"], "ok": True}), flush=True)
    while True:
        time.sleep(3600)
    """
    store: Any = program(code).open("h:1", close_timeout=0.2)
    ((_, pid),) = store.said
    store.close()
    assert not Path(f"/proc/{pid}").exists()
    store.close()


def test_a_program_ends_with_the_process_that_drives_it(
    run_script: Callable[..., Any], wait_for_end: Callable[[int], None]
) -> None:
    script = run_script(
        """
import os, sys
from pytest_netfault.proof.process_store import ProcessStore
code = '''
import json, os, sys
line = json.loads(sys.stdin.readline())
print(json.dumps({"log": str(os.getpid())}), flush=True)
print(json.dumps({"id": line["id"], "ok": True}), flush=True)
import time; time.sleep(3600)
'''
store = ProcessStore([sys.executable, "-c", code])("h:1")
print(store.said[0][1], flush=True)
os.kill(os.getpid(), 9)
"""
    )
    pid = int(script.line())
    assert script.wait() == -9
    wait_for_end(pid)
