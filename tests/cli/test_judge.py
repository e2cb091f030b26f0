"""`netfault judge`: files in, lines and an exit status out; damaged files are one line and hide nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.checks.document import read_document
from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.locate import line_of
from pytest_netfault.checks.reading import FormatError
from pytest_netfault.checks.trace import Trace
from pytest_netfault.cli import main
from pytest_netfault.cli.judge import judge


def trace(*revisions: int, name: str | None = "t", quiet: bool = True) -> dict[str, Any]:
    """A log of revisions 2 to 4, of which these were delivered."""
    return {
        "id": name,
        "promise": "every-event",
        "filter": {"key": "", "prefix": True},
        "start_revision_exclusive": 1,
        "log": [{"revision": n, "events": [{"type": "put", "key": "k", "value": str(n)}]} for n in (2, 3, 4)],
        "compactions": [],
        "stream": [
            {"events": [{"type": "put", "key": "k", "value": str(n), "revision": n}]} for n in revisions
        ],
        "quiet_at_end": quiet,
    }


def acks(delivered: bool = True) -> dict[str, Any]:
    pairs = [{"key": "k", "value": "a"}] if delivered else []
    return {
        "id": "a",
        "writes": [{"id": 1, "key": "k", "value": "a", "outcome": "ok"}],
        "delivered": pairs,
        "final_read": None,
        "quiet_at_end": True,
    }


def history(answer: object = 4) -> str:
    events = [
        {"index": 0, "process": 1, "type": "invoke", "op": "write", "value": 4},
        {"index": 1, "process": 1, "type": "ok", "op": "write", "value": 4},
        {"index": 2, "process": 2, "type": "invoke", "op": "read"},
        {"index": 3, "process": 2, "type": "ok", "op": "read", "value": answer},
    ]
    return "".join(json.dumps(event) + "\n" for event in events)


KEPT, BROKEN, OPEN = trace(2, 3, 4), trace(2, 4), trace(2, 3, quiet=False)

TOLD = [
    {"changes": {"k": "2"}, "outcome": "ok", "begun": 0.5, "ended": 1, "step": 2},
    {"changes": {"k": "9"}, "outcome": "ok", "begun": 1.5, "ended": 2.5},
]
LOST_WRITE = {**trace(2, 3, 4), "log_from": "server", "acknowledgements": TOLD}
WITHOUT_LOG = {
    **trace(),
    "log": [],
    "log_from": "acknowledgements",
    "acknowledgements": TOLD,
    "held": {"k": "9"},
    "stream": [{"events": [{"type": "put", "key": "k", "value": value, "revision": None}]} for value in "29"],
}


def test_what_writers_were_told_is_judged_where_the_trace_says_where_its_log_comes_from(run: Any) -> None:
    words = "writes.lost: put 'k' = '9' was acknowledged once, and the log has it never"
    assert run(LOST_WRITE)[:2] == (1, f"f0: broken: writes.lost\n    {words}\n")
    assert run(WITHOUT_LOG)[:2] == (0, "f0: kept\n")
    stale = {**WITHOUT_LOG, "held": {"k": "2"}}
    assert json.loads(run(stale, as_json=True)[1])[0]["broken"] == ["writes.lost"]


def test_traces_of_earlier_versions_are_judged_as_they_were(run: Any) -> None:
    """They have acknowledgements, too, which were never meant to be judged."""
    before = {name: member for name, member in LOST_WRITE.items() if name != "log_from"}
    assert run(before)[:2] == (0, "f0: kept\n")
    assert run({**before, "acknowledgements": "as somebody else has them"})[:2] == (0, "f0: kept\n")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Write the contents to files f0, f1, ... and judge them there: status, output, errors, without the folder."""

    def judged(*contents: Any, **how: Any) -> tuple[int, str, str]:
        paths = []
        for number, content in enumerate(contents):
            path = tmp_path / f"f{number}"
            data = content if isinstance(content, (str, bytes)) else json.dumps(content)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
            paths.append(path)
        out, err = io.StringIO(), io.StringIO()
        status = judge(paths, out=out, err=err, **how)
        here = f"{tmp_path}{os.sep}"
        return status, out.getvalue().replace(here, ""), err.getvalue().replace(here, "")

    return judged


# -- exit status --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "status"),
    [
        ([KEPT], 0),
        ([BROKEN], 1),
        (["{"], 2),
        ([OPEN], 3),
        ([KEPT, KEPT], 0),
        ([KEPT, OPEN], 3),
        ([OPEN, BROKEN], 1),
        ([BROKEN, "{"], 2),
        (["{", BROKEN, OPEN, KEPT], 2),
        ([{"cases": [KEPT, BROKEN]}], 1),
        ([{"cases": [BROKEN, {}]}], 2),
        ([history(), acks()], 0),
        ([history(5)], 1),
        ([acks(delivered=False)], 1),
    ],
)
def test_the_worst_verdict_is_the_exit_status(contents: list[Any], status: int, run: Any) -> None:
    assert run(*contents)[0] == status


# -- --json -------------------------------------------------------------------------------------------------


def test_json_has_the_members_of_each_format_and_no_others(run: Any) -> None:
    status, out, err = run(BROKEN, acks(), history(), "{", {"cases": [KEPT, {"id": "x"}]}, as_json=True)
    assert status == 2
    six = ["lost", "phantom", "duplicate", "unknown_applied", "unknown_not_applied", "undetermined"]
    assert [{**one, "file": Path(one["file"]).name} for one in json.loads(out)] == [
        {"file": "f0", "id": "t", "verdict": "broken", "broken": ["reliable", "complete"]},
        {"file": "f1", "id": "a", "verdict": "kept", **{name: [] for name in six}},
        {"file": "f2", "id": None, "verdict": "kept", "linearizable": True},
        {"file": "f3", "id": None, "verdict": "unreadable"},
        {"file": "f4", "id": "t", "verdict": "kept", "broken": []},
        {"file": "f4", "id": "x", "verdict": "unreadable"},
    ]
    assert len(err.splitlines()) == 2


def test_json_of_a_search_that_was_given_up(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_netfault.checks import judging as module

    search = module.check_linearizable
    monkeypatch.setattr(module, "check_linearizable", lambda history, **_: search(history, max_steps=1))
    hard = "".join(
        json.dumps({"process": n, "type": "invoke", "op": "append", "key": "k", "value": str(n)}) + "\n"
        for n in range(3)
    ) + "".join(json.dumps({"process": n, "type": "ok"}) + "\n" for n in range(3))
    status, out, _ = run(hard, as_json=True)
    assert (status, json.loads(out)[0]["verdict"], json.loads(out)[0]["linearizable"]) == (
        3,
        "inconclusive",
        None,
    )
    assert run(hard)[1] == "f0: inconclusive: given up after 1 configuration with 1 key undecided\n"
    monkeypatch.setattr(module, "check_linearizable", lambda history, **_: search(history, max_bytes=1))
    assert run(hard)[:2] == (
        3,
        "f0: inconclusive: given up after 0 configurations with 1 key undecided, at the limit of memory\n",
    )


# -- words --------------------------------------------------------------------------------------------------


def test_a_broken_trace_is_told_in_a_line_for_each_guarantee(run: Any) -> None:
    assert run(BROKEN)[1].splitlines() == [
        "f0: broken: reliable, complete",
        "    reliable: revision 3 (put 'k') had not arrived when revision 4 was delivered in item 1",
        "    complete: revision 3 (put 'k') had not arrived when all was quiet",
    ]
    assert run(trace())[1].splitlines()[1] == (
        "    complete: revision 2 (put 'k') had not arrived when all was quiet; and 2 more"
    )


def test_the_other_verdicts_are_told_in_a_line(run: Any) -> None:
    _, out, _ = run({"cases": [KEPT, OPEN]}, history(), acks())
    assert out.splitlines() == [
        "f0 case 0 (t): kept",
        "f0 case 1 (t): inconclusive: stopped before all was quiet, with 1 change to come",
        "f1: kept: linearizable (register)",
        "f2: kept",
    ]


def test_a_refuted_history_says_where(run: Any) -> None:
    first, second = run(history(5))[1].splitlines()
    assert first == "f0: broken: not linearizable (register)"
    assert second == (
        "    all before line 4 can be explained, and line 4 cannot: process 2: read -> 5 (invoked in line 3), "
        "where the value was 4"
    )


def test_broken_acknowledgements_list_ids(run: Any) -> None:
    assert run(acks(delivered=False))[1].splitlines() == ["f0: broken: lost", "    lost: 1"]


# -- damage -------------------------------------------------------------------------------------------------


def lines(document: Any) -> str:
    return json.dumps(document, indent=1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "f0:1: the file is empty, so that there is nothing to judge"),
        (" \n\n", "f0:1: the file is empty, so that there is nothing to judge"),
        ('{\n"log": [', "f0:2: not JSON: Expecting value (column 9)"),
        ("hello", "f0:1: not JSON: Expecting value (column 1)"),
        ("[]", "f0:1: the document must be an object, not []"),
        ("\n{}", "f0:2: the document has neither"),
        (b"{\n\xff}", "f0:2: not UTF-8: byte 0xff"),
        ('{"id": "NaN",\n"stream": NaN}', "f0:2: not JSON: NaN is not a value"),
        ("[" * 100_000, "f0:1: not readable: nested too deeply"),
        ('{"stream":\n1' + "0" * 5_000 + "}", "f0:2: not readable: Exceeds the limit"),
        (history()[:-20], "f0:4: not JSON"),
        (history().replace("invoke", "begin", 1), 'f0:1: type must be "invoke", "ok", "fail" or "info"'),
        (history().replace('"ok"', '"maybe"', 1), 'f0:2: type must be "invoke", "ok", "fail" or "info"'),
        ('{"cases": []}', "f0:1: there are no cases"),
        (lines({"cases": 5}), "f0:2: cases must be a list, not 5"),
        (lines({**KEPT, "promise": "maybe"}), 'f0:3: promise must be "every-event" or "latest-value"'),
        (lines({**KEPT, "quiet_at_end": 1}), "quiet_at_end must be true or false, not 1"),
        (lines({**KEPT, "stream": [{}]}), "stream[0] must have exactly one of"),
    ],
)
def test_a_damaged_file_is_one_clear_line(content: Any, complaint: str, run: Any) -> None:
    status, out, err = run(content)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert complaint in line


@pytest.mark.parametrize(
    ("damage", "path", "complaint"),
    [
        ({"log": [{"revision": "2", "events": []}]}, ("log", 0, "revision"), 'a whole number, not "2"'),
        ({"log": [{"events": []}]}, ("log", 0), 'log[0] has no "revision"'),
        (
            {"log": [{"revision": 2, "events": []}, {"revision": 2, "events": []}]},
            ("log", 1, "revision"),
            "log[1].revision must be above the revision before it, 2, not 2",
        ),
        (
            {"log": [{"revision": 2, "events": [{"type": "put", "key": "k"}]}]},
            ("log", 0, "events", 0, "value"),
            "log[0].events[0].value must be a string, not null",
        ),
        (
            {"stream": [{"disconnect": True}, {"events": [{"type": "set", "key": "k", "revision": 2}]}]},
            ("stream", 1, "events", 0, "type"),
            'stream[1].events[0].type must be "put" or "delete", not "set"',
        ),
        (
            {"stream": [{"events": [{"type": "put", "key": "k", "value": "1"}]}]},
            ("stream", 0, "events", 0),
            'stream[0].events[0] has no "revision"',
        ),
        ({"stream": [{"resync": {"revision": 2}}]}, ("stream", 0, "resync"), 'has no "kvs"'),
        (
            {"stream": [{"resync": {"revision": 2, "kvs": {"a": 1}}}]},
            ("stream", 0, "resync", "kvs", "a"),
            "a string",
        ),
        ({"stream": [{"bookmark": True}]}, ("stream", 0, "bookmark"), "a whole number, not true"),
        ({"stream": [{"bookmark": 1, "error": "x"}]}, ("stream", 0), "not bookmark and error"),
        ({"filter": {"prefix": True}}, ("filter",), 'filter has no "key"'),
        ({"compactions": [{"after_item": 2}]}, ("compactions", 0), 'compactions[0] has no "revision"'),
        (
            {"replacements": [{"after_entry": 2}, {"after_entry": 1}]},
            ("replacements", 1),
            "replacements[1] happened before the one in front of it",
        ),
        ({"start_revision_exclusive": None}, ("start_revision_exclusive",), "a whole number, not null"),
        ({"start_not_before": 2}, ("start_not_before",), "at most start_revision_exclusive, 1, not 2"),
        ({"owed_until": "2"}, ("owed_until",), 'owed_until must be a whole number, not "2"'),
        ({"inconclusive": 1}, ("inconclusive",), "inconclusive must be a string or null, not 1"),
        ({"log_from": "a friend"}, ("log_from",), 'must be "server" or "acknowledgements", not "a friend"'),
        ({"log_from": "acknowledgements"}, (), 'the trace has no "acknowledgements", and its log is to come'),
        (
            {"log_from": "acknowledgements", "acknowledgements": []},
            ("log",),
            'log must be empty where log_from is "acknowledgements"',
        ),
        (
            {"log_from": "server", "acknowledgements": [{"changes": {"k": 1}, "outcome": "ok"}]},
            ("acknowledgements", 0, "changes", "k"),
            "acknowledgements[0].changes.k must be a string or null, not 1",
        ),
        (
            {"log_from": "server", "acknowledgements": [{"changes": {}, "outcome": "maybe"}]},
            ("acknowledgements", 0, "outcome"),
            'must be "ok", "fail" or "info", not "maybe"',
        ),
        (
            {"log_from": "server", "acknowledgements": [{"outcome": "ok"}]},
            ("acknowledgements", 0),
            "changes must be an object, not null",
        ),
        (
            {"log_from": "server", "acknowledgements": [{"changes": {}, "outcome": "ok", "begun": 10**400}]},
            ("acknowledgements", 0, "begun"),
            "begun must be a finite number of seconds or null, not 1000",
        ),
        (
            {
                "log_from": "server",
                "acknowledgements": [{"changes": {}, "outcome": "ok", "begun": 2, "ended": 1}],
            },
            ("acknowledgements", 0, "ended"),
            "ended must be at or after begun, 2.0, not 1.0",
        ),
        ({"log_from": "server", "held": ["k"]}, ("held",), 'held must be an object, not ["k"]'),
    ],
)
def test_a_damaged_trace_names_the_member_and_its_line(
    damage: dict[str, Any], path: tuple[str | int, ...], complaint: str, run: Any
) -> None:
    text = lines({"cases": [KEPT, {**KEPT, **damage}]})
    status, out, err = run(text)
    (line,) = err.splitlines()
    assert complaint in line
    # Where a missing member should stand, the object around it is pointed at.
    assert line.startswith(f"f0:{line_of(text, ('cases', 1, *path))}: case 1: ")
    assert (status, out) == (2, "f0 case 0 (t): kept\n")


def test_other_files_are_judged_all_the_same(run: Any) -> None:
    status, out, err = run("{", BROKEN, b"\xff")
    assert status == 2
    assert out.startswith("f1: broken")
    assert [line.split(":")[0] for line in err.splitlines()] == ["f0", "f2"]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    err = io.StringIO()
    missing = tmp_path / "missing"
    assert judge([missing, tmp_path], out=io.StringIO(), err=err) == 2
    assert err.getvalue().splitlines() == [
        f"{missing}: cannot be read: No such file or directory",
        f"{tmp_path}: there is no history, trace or list of acknowledgements below it (*.json, *.jsonl)",
    ]


def test_a_byte_order_mark_is_no_damage(run: Any) -> None:
    assert run(b"\xef\xbb\xbf" + json.dumps(KEPT).encode())[0] == 0


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_does_more_than_be_refused(data: st.DataObject) -> None:
    texts = [
        lines(KEPT),
        lines({"cases": [BROKEN, acks()]}),
        history(),
        lines(WITHOUT_LOG),
        lines(LOST_WRITE),
    ]
    text = data.draw(st.sampled_from(texts))
    at = data.draw(st.integers(0, len(text)))
    damaged = text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 30)) :]
    refusals = []
    try:
        refusals = [case.subject for case in read_document(damaged) if isinstance(case.subject, FormatError)]
    except FormatError as error:
        refusals = [error]
    for refusal in refusals:
        assert refusal.line is None or 1 <= refusal.line <= damaged.count("\n") + 1


SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 5) | st.sampled_from(["k", "2", "", "ok", 0.5, [], {}, [{}]])
)


def members_of(document: Any) -> list[tuple[Any, Any]]:
    """Every member of a document, as the object or list around it and its name."""
    found: list[tuple[Any, Any]] = []
    names = (
        document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    )
    for name in names:
        found += [(document, name), *members_of(document[name])]
    return found


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_can_be_read_can_be_judged(data: st.DataObject) -> None:
    document = json.loads(json.dumps(data.draw(st.sampled_from([BROKEN, OPEN, WITHOUT_LOG, LOST_WRITE]))))
    if data.draw(st.booleans()):
        document["stream"].append({"resync": {"revision": None, "kvs": {"k": "2"}}})
    for _ in range(data.draw(st.integers(1, 2))):
        around, name = data.draw(st.sampled_from(members_of(document)))
        if data.draw(st.booleans()) and isinstance(around, dict):
            del around[name]
        else:
            around[name] = data.draw(SCALARS)
    cases = []
    with contextlib.suppress(FormatError):
        cases = read_document(json.dumps(document))
    for case in cases:
        if isinstance(case.subject, Trace):
            assert judge_trace(case.subject).verdict in ("kept", "broken", "inconclusive")
            assert Trace.from_json(case.subject.to_json()) == case.subject


# -- what a session leaves behind, and folders --------------------------------------------------------------

EVENTS = {"nodeid": "t.py::t", "seed": 7, "began": 1.0, "links": [{"name": "a", "events": []}]}
PART = {"call": "sweep", "shard": "1/2", "seed": 7, "counted": {"examples": 1}, "lost": None}


def lost_part(stream: dict[str, Any]) -> dict[str, Any]:
    return {**PART, "lost": {"told": "x", "trace": stream}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (EVENTS, "events of links, which nothing was promised of"),
        (PART, "a part of a proof that lost nothing; netfault merge adds the parts up"),
    ],
)
def test_what_lies_beside_a_trace_is_passed_over_with_a_word(content: Any, words: str, run: Any) -> None:
    for case, status in ((KEPT, 0), (BROKEN, 1), (OPEN, 3)):
        came, out, err = run(content, case)
        assert (came, err) == (status, "")
        assert out.splitlines()[0] == f"f0: skipped: {words}"
    nothing = "there is nothing to judge: none of the files holds a promise\n"
    assert run(content) == (2, f"f0: skipped: {words}\n", nothing)
    _, out, _ = run(content, KEPT, as_json=True)
    first, second = json.loads(out)
    assert (first["id"], first["verdict"], set(first)) == (None, "skipped", {"file", "id", "verdict"})
    assert second["verdict"] == "kept"


def test_the_loss_of_a_part_is_judged(run: Any) -> None:
    assert run(lost_part(BROKEN))[:2] == run(BROKEN)[:2]
    assert run(lost_part(KEPT))[0] == 0
    status, _, err = run(lines(lost_part({**BROKEN, "quiet_at_end": 1})))
    assert status == 2
    assert "lost.trace.quiet_at_end must be true or false, not 1" in err


def test_a_case_that_is_none_of_the_formats_is_damage_also_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"cases": [KEPT, {}]}))
    err = io.StringIO()
    assert judge([tmp_path], out=io.StringIO(), err=err) == 2
    assert "case 1: cases[1] has neither" in err.getvalue()


def test_a_folder_is_every_file_of_our_formats_below_it(tmp_path: Path) -> None:
    for name, content in {
        "b/update-lost.json": json.dumps(BROKEN),
        "b/events.json": json.dumps(EVENTS),
        "b/deep/er/h.jsonl": history(),
        "a/other.json": '{"name": "somebody else"}',
        "a/list.json": "[1]",
        "a/kept.json": json.dumps(KEPT),
        "a/.unfinished.json": "{",
        ".cache/x.json": "{",
        "a/notes.txt": "{",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "a" / "up.json").symlink_to("..")
    out, err = io.StringIO(), io.StringIO()
    assert judge([tmp_path], out=out, err=err) == 1
    assert err.getvalue() == ""
    here = f"{tmp_path}{os.sep}"
    assert out.getvalue().replace(here, "").splitlines() == [
        "a/kept.json: kept",
        "a/list.json: skipped: no history, trace or acknowledgements",
        "a/other.json: skipped: no history, trace or acknowledgements",
        "b/events.json: skipped: events of links, which nothing was promised of",
        "b/update-lost.json: broken: reliable, complete",
        "    reliable: revision 3 (put 'k') had not arrived when revision 4 was delivered in item 1",
        "    complete: revision 3 (put 'k') had not arrived when all was quiet",
        "b/deep/er/h.jsonl: kept: linearizable (register)",
    ]
    (tmp_path / "b" / "damaged.json").write_text("{")
    assert judge([tmp_path], out=out, err=err) == 2


@pytest.mark.parametrize("content", [None, '{"name": "somebody else"}', json.dumps(EVENTS)])
def test_a_folder_in_which_there_is_nothing_to_judge_is_one_sentence(
    content: str | None, tmp_path: Path
) -> None:
    folder, kept = tmp_path / "folder", tmp_path / "kept.json"
    folder.mkdir()
    kept.write_text(json.dumps(KEPT))
    if content is not None:
        (folder / "x.json").write_text(content)
    for places in ([folder], [folder, kept]):
        err = io.StringIO()
        assert judge(places, out=io.StringIO(), err=err) == 2
        assert err.getvalue() == (
            f"{folder}: there is no history, trace or list of acknowledgements below it (*.json, *.jsonl)\n"
        )


def test_a_folder_that_cannot_be_read_is_no_folder_without_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (tmp_path / "kept.json").write_text(json.dumps(KEPT))
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # whoever runs this may be allowed everything
    err = io.StringIO()
    assert judge([tmp_path], out=io.StringIO(), err=err) == 2
    assert f"{closed}: cannot be read: Permission denied" in err.getvalue()


# -- the command --------------------------------------------------------------------------------------------


def test_main_takes_files_and_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(history())
    assert main(["judge", str(path), "--model", "cas-register"]) == 0
    assert main(["judge", "--model", "kv", str(path)]) == 2
    assert capsys.readouterr().err == f'{path}:1: write has no "key", and the model kv needs one\n'
    with pytest.raises(SystemExit, match="2"):
        main(["judge"])


def test_judging_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(KEPT))
    program = (
        "import sys; from pytest_netfault.cli import main; status = main(['judge', *sys.argv[1:]]); "
        "bad = {'trio', 'pytest', 'hypothesis', 'grpc', 'docker', 'etcd3', 'ssl', 'asyncio'} & set(sys.modules); "
        "sys.exit(f'imported {bad}' if bad else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}: kept\n", "")


RECORDED = sorted((Path(__file__).parents[1] / "checks" / "histories").glob("*/*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_subscriptions(path: Path) -> None:
    out = io.StringIO()
    status = judge([path], as_json=True, out=out)
    (told,) = json.loads(out.getvalue())
    assert told["broken"] == json.loads(path.read_text())["broken"]
    assert (told["verdict"], status) == {"good": ("kept", 0), "bad": ("broken", 1)}[path.parent.name]


def test_there_are_recorded_subscriptions_of_both_kinds() -> None:
    assert {path.parent.name for path in RECORDED} == {"good", "bad"}
