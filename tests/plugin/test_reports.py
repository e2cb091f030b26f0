"""What a person sees of a failure: a drawing in the terminal, a page where files were asked for, also after Ctrl-C."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pytest_netfault.report.html import embedded
from pytest_netfault.report.index import read_folders
from pytest_netfault.report.timeline import Timeline

pytest.importorskip("jinja2", reason="the report is drawn with Jinja2: pip install 'pytest-netfault[report]'")

TESTS = Path(__file__).parents[1]

FAILS = """
    import logging

    def test_fails(netfault, echo, talk):
        link = netfault.forward(echo, name="store")
        talk(link)
        with link.delay(0.001):
            talk(link)
        logging.getLogger("shop").warning("giving up")
        raise TimeoutError("<nothing> came")

    def test_passes(netfault, echo, talk):
        talk(netfault.forward(echo))
"""


def page_of(output: Path) -> Timeline:
    (page,) = output.glob("*/report.html")
    return embedded(page.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_failing_test_gets_a_page_and_a_drawing(sessions: Any, workers: int) -> None:
    sessions.file(FAILS)
    parallel = ("-n2",) if workers else ()
    result = sessions.run("--netfault-output=out", *parallel, plugins=["xdist"])
    output = sessions.pytester.path / "out"
    (folder,) = (path for path in output.iterdir() if path.is_dir())
    result.stdout.fnmatch_lines(
        [
            "*- netfault -*",
            "Faults  *Delay(0.001)*",
            "Connections *|*",
            f"picture: {folder / 'report.html'}",
            f"more in {folder}",
            "netfault: seed *, 2 links, 1 fault, 1 of them met traffic",
        ]
    )
    drawn = page_of(output)
    assert drawn.headline == "test_it.py::test_fails failed"
    assert [card.kind for card in drawn.cards] == ["broke", "missing"]
    assert drawn.cards[1].title == "TimeoutError: <nothing> came"
    assert drawn.command.startswith("pytest test_it.py::test_fails --netfault-seed=")
    assert drawn.cards[1].source.startswith("raise TimeoutError(")
    assert re.search(r" at test_it\.py:\d+\.$", drawn.cards[1].text)
    assert [mark.label for mark in drawn.marks if mark.lane == "log"] == ["WARNING shop: giving up"]
    assert {"test", "link", "started", "versions", "seed"} == dict(drawn.facts).keys()


@pytest.mark.slow
def test_each_failing_test_has_a_page_of_its_own(sessions: Any) -> None:
    sessions.file(FAILS + FAILS.replace("test_fails", "test_fails_too").replace("test_passes", "test_fine"))
    sessions.run("--netfault-output=out").assert_outcomes(failed=2, passed=2)
    pages = [embedded(page.read_text("utf-8")) for page in (sessions.pytester.path / "out").glob("*/*.html")]
    assert {page.headline for page in pages} == {
        "test_it.py::test_fails failed",
        "test_it.py::test_fails_too failed",
    }


@pytest.mark.slow
def test_without_an_output_there_is_a_drawing_and_no_page(sessions: Any, files_below: Any) -> None:
    sessions.file(FAILS)
    before = files_below(sessions.pytester.path)
    result = sessions.run()
    result.stdout.fnmatch_lines(["Faults  *Delay(0.001)*"])
    result.stdout.no_fnmatch_line("*picture:*")
    assert files_below(sessions.pytester.path) - before <= {"stdout", "stderr"}


@pytest.mark.slow
def test_without_jinja2_the_text_is_all_there_is(sessions: Any, files_below: Any) -> None:
    sessions.file(FAILS)
    sessions.conftest("import sys; sys.modules['jinja2'] = None")
    result = sessions.run("--netfault-output=out")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["Faults  *Delay(0.001)*"])
    result.stdout.no_fnmatch_line("*picture:*")
    assert not any(name.endswith("report.html") for name in files_below(sessions.pytester.path))


INTERRUPTED = """
    import threading

    def test_it(netfault, echo, talk):
        link = netfault.forward(echo, name="store")
        talk(link)
        link.sever()
        print("\\nnow", flush=True)
        while not threading.Event().wait(0.05):  # a signal just before a wait without end would be slept through
            pass
"""


@pytest.mark.slow
def test_an_interrupted_test_gets_a_page(sessions: Any, read_until: Any, interrupt: Any) -> None:
    sessions.file(INTERRUPTED)
    process = sessions.start("-s", "--netfault-output=out")
    read_until(process, "^now")
    said = interrupt(process)
    output = sessions.pytester.path / "out"
    (folder,) = (path for path in output.iterdir() if path.is_dir())
    assert f"netfault: interrupted; what had happened by then is in {folder}" in said
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    drawn = page_of(output)
    assert drawn.headline == "test_it.py::test_it was interrupted"
    assert any(mark.label == "Sever()" for mark in drawn.marks)


@pytest.mark.slow
def test_after_ctrl_c_without_an_output_nothing_is_written(
    sessions: Any, read_until: Any, interrupt: Any, files_below: Any
) -> None:
    sessions.file(INTERRUPTED)
    before = files_below(sessions.pytester.path)
    process = sessions.start("-s")
    read_until(process, "^now")
    assert "interrupted; what" not in interrupt(process)
    assert files_below(sessions.pytester.path) == before


LOSES = """
    from support.mutants import toy
    from pytest_netfault import Break, Schedule, WaitForEvents, Sever, Subscribe, Write, verify

    class FromNow(toy.RightStore):
        began = False

        def resume_at(self):
            self.began, first = True, not self.began
            return self.next if first else None

        def on_events(self, revision, changes):
            self.next = 0
            super().on_events(revision, changes)

    LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])

    def test_lost():
        with toy.ToyServer() as server:
            verify.replay(FromNow, server, LOSS, settle=0.5)

    def test_kept():
        with toy.ToyServer() as server:
            verify.replay(toy.RightStore, server, LOSS, settle=0.5)

    def test_proved_nothing():
        with toy.ToyServer() as server:
            verify.replay(toy.RightStore, server, Schedule([Subscribe(), Write("a")]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_lost_update_is_told_drawn_and_can_be_played_again(
    sessions: Any, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sessions.file(LOSES)
    parallel = ("-n2",) if workers else ()
    result = sessions.run("--netfault-seed=7", "--netfault-output=out", *parallel, plugins=["xdist"])
    result.assert_outcomes(failed=2, passed=1)
    (page,) = (sessions.pytester.path / "out").glob("*/*.html")
    text = "\n".join(result.outlines)
    _, _, section = text[text.index(" test_lost ") :].partition("- netfault -")
    lines = iter(section.splitlines())
    for wanted in (
        "seed 7, to run it again: pytest test_it.py::test_lost --netfault-seed=7",
        "replay: An update was lost: revision 3 never arrived",
        "The store commits .*revision 2.*",
        "Faults .*#.*",
        "The subscriber gets .*X 3 never arrived.*",
        "    Schedule\\(\\[Subscribe.*",
        f"picture: {re.escape(str(page))}",
        f"more in {re.escape(str(page.parent))}",
    ):
        assert any(re.fullmatch(wanted, line) for line in lines), wanted
    assert embedded(page.read_text(encoding="utf-8")).headline.startswith("An update was lost: revision 3")
    result.stdout.fnmatch_lines(
        [
            "netfault: seed 7, proofs: 1 kept, 1 broken, 1 inconclusive, 3 examples, 2 faults met traffic",
        ]
    )
    result.stdout.fnmatch_lines(
        ["replay: nothing was proved: nothing was broken in 1 example: a schedule needs*"]
    )


PROOF = """
    import threading
    import pytest
    from support.mutants import toy
    from pytest_netfault import Break, Schedule, WaitForEvents, Sever, Subscribe, Write, verify

    class FromNow(toy.RightStore):
        began = False

        def resume_at(self):
            self.began, first = True, not self.began
            return self.next if first else None

        def on_events(self, revision, changes):
            self.next = 0
            super().on_events(revision, changes)

    def test_proof():
        def stop(progress):
            if progress.{stage}:
                print("\\nnow", flush=True)
                while not threading.Event().wait(0.05):
                    pass

        with toy.ToyServer() as server:
            verify.no_update_lost(
                {store}, server, faults=[Sever], seed=3, settle=0.4, max_examples=50, progress=stop
            )
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("store", "stage", "headline"),
    [
        ("toy.RightStore", "done == 2", "Interrupted before anything was lost"),
        ("FromNow", "stage == 'shrinking'", "Interrupted. *never arrived"),
    ],
)
def test_an_interrupted_proof_keeps_what_it_knows(
    sessions: Any,
    monkeypatch: pytest.MonkeyPatch,
    read_until: Any,
    interrupt: Any,
    store: str,
    stage: str,
    headline: str,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sessions.file(PROOF.replace("{store}", store).replace("{stage}", stage))
    process = sessions.start("-s", "--netfault-output=out")
    read_until(process, "^now")
    printed = interrupt(process)
    assert "interrupted; what had happened by then is in" in printed
    (summary,) = (line for line in printed.splitlines() if line.startswith("netfault: seed"))
    assert re.search(r"proofs: 1 unfinished, [1-9]\d* examples?, [1-9]\d* faults? met traffic$", summary), (
        summary
    )
    (page,) = (sessions.pytester.path / "out").glob("*/interrupted-*.html")
    drawn = embedded(page.read_text(encoding="utf-8"))
    assert re.fullmatch(headline.replace("*", ".*"), drawn.headline)
    assert {"interrupted", "seed"} <= dict(drawn.facts).keys()
    names = {path.suffix for path in page.parent.iterdir()}
    assert {".json", ".py", ".html"} <= names


@pytest.mark.slow
def test_a_proof_that_its_client_ended_says_after_how_much(
    sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sessions.file(
        """
        from support.mutants import toy
        from pytest_netfault import verify

        class Weak(toy.RightStore):
            opened = 0

            def __init__(self, address):
                Weak.opened += 1
                if Weak.opened > 4:  # two direct writers, one for what touches the server, and two plays
                    raise OSError("no more")
                super().__init__(address)

        def test_it():
            with toy.ToyServer() as server:
                verify.no_update_lost(Weak, server, max_examples=9, settle=0.4, notice=None, lanes=1)
        """
    )
    result = sessions.run("--netfault-seed=7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * OSError: no more",
            "no_update_lost: ended by OSError after 2 examples",
            "netfault: seed 7, proofs: 1 unfinished, 2 examples, * met traffic",
        ]
    )


PROPERTY = """
    import pytest
    from support.mutants import toy
    from hypothesis import Phase, given, settings, strategies as st
    from pytest_netfault import Break, Delay, Heal, Schedule, WaitForEvents, Sever, Subscribe, Write, verify
    from pytest_netfault.schedules import schedules

    class FromNow(toy.RightStore):
        began = False

        def resume_at(self):
            self.began, first = True, not self.began
            return self.next if first else None

        def on_events(self, revision, changes):
            self.next = 0
            super().on_events(revision, changes)

    @pytest.fixture(scope="session")
    def server():
        with toy.ToyServer() as server:
            yield server

    here = settings(deadline=None, max_examples=12, database=None, phases=set(Phase) - {Phase.explain})

    # Whoever draws something else too lets Hypothesis shrink: each try is a play.
    @here
    @given(schedule=schedules(faults=[Sever]), other=st.just(0) | st.just(1))
    def test_lost(server, schedule, other):
        verify.replay(FromNow, server, schedule, settle=0.4)

    @here
    @given(schedule=schedules(faults=[Sever, Delay]))
    def test_kept(server, schedule):
        verify.replay(toy.RightStore, server, schedule, settle=0.4)

    def test_two_plain_losses():
        for key in "ab":
            with toy.ToyServer() as server, pytest.raises(verify.UpdateLost):
                steps = [Subscribe(), Write(key), WaitForEvents(), Break(Sever()), Write(key)]
                verify.replay(FromNow, server, Schedule(steps), settle=0.4)
        assert 0
"""


@pytest.mark.slow
def test_of_the_losses_of_a_property_only_the_smallest_is_told_and_kept(
    sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hypothesis", reason="it is one of tests/requirements.txt")
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sessions.file(PROPERTY)
    result = sessions.run(
        "--netfault-output=out", "--junitxml=it.xml", "--hypothesis-seed=1", plugins=["hypothesispytest"]
    )
    result.assert_outcomes(failed=2, passed=1)
    text = "\n".join(result.outlines)
    lost, plain = text[text.index(" test_lost ") :].split(" test_two_plain_losses ")[:2]
    assert lost.count("the smallest schedule, for verify.replay") == 1
    assert re.search(
        r"replay: An update was lost: .*, and [1-9]\d* more on the way to it$", lost, re.MULTILINE
    )
    smallest = "Schedule([Subscribe(), Break(Sever()), Write('a')])"
    assert f"    {smallest}" in lost.splitlines()
    assert plain.count("the smallest schedule, for verify.replay") == 2, "these are proofs of their own"

    (folder,) = (sessions.pytester.path / "out").glob("test_it.py-test_lost-*")
    losses = [path for path in folder.iterdir() if path.name.startswith("update-lost")]
    assert sorted(path.suffix for path in losses) == [".html", ".json", ".py"]
    assert smallest in next(path for path in losses if path.suffix == ".py").read_text()

    cases = {case.get("name"): case for case in ET.parse(sessions.pytester.path / "it.xml").iter("testcase")}
    told = {
        str(case): {one.get("name"): one.get("value") for one in cases[case].iter("property")}
        for case in cases
    }
    assert told["test_lost"]["netfault.schedule"] == smallest
    assert told["test_lost"]["netfault.verdict"] == "broken"
    assert told["test_kept"]["netfault.verdict"] == "kept"
    assert int(str(told["test_kept"]["netfault.examples"])) >= 12


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["yes", "no"])
def test_the_story_is_coloured_as_pytest_is_and_its_files_never(sessions: Any, colour: str) -> None:
    sessions.file(FAILS)
    result = sessions.run(
        f"--color={colour}", "--netfault-output=out", "--junitxml=it.xml", "-n1", plugins=["xdist"]
    )
    (line,) = (line for line in result.outlines if "store fault Delay(0.001)" in line)
    assert ("\x1b[33mstore fault" in line) is (colour == "yes")
    output = sessions.pytester.path / "out"
    files = [path for path in [*output.rglob("*"), sessions.pytester.path / "it.xml"] if path.is_file()]
    assert {"index.html", "failure.txt", "it.xml"} <= {path.name for path in files}
    assert [path.name for path in files if "\x1b" in path.read_text(encoding="utf-8")] == []
    (row,) = read_folders(output)
    assert (row.test, row.outcome) == ("test_it.py::test_fails", "TimeoutError: <nothing> came")
    assert "test_it.py::test_fails" in (output / "index.html").read_text(encoding="utf-8")
