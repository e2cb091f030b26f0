"""A session as a gate: what strict lets pass, what is kept of which test, and what a CI job is told."""

from __future__ import annotations

import socket
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import find_binary

TESTS = Path(__file__).parents[1]

# Proofs on real sockets that take a moment each: a small store, a client that is right, and one that comes back
# after a break and watches from now on.
PROOFS = """
    import pytest
    from support.mutants import toy
    from pytest_netfault import Break, Schedule, WaitForEvents, Sever, Subscribe, Write, verify

    LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])

    class FromNow(toy.RightStore):
        began = False

        def resume_at(self):
            self.began, first = True, not self.began
            return self.next if first else None

        def on_events(self, revision, changes):
            self.next = 0
            super().on_events(revision, changes)

    @pytest.fixture
    def server():
        with toy.ToyServer() as server:
            yield server

    def test_kept(server):
        report = verify.replay(toy.RightStore, server, LOSS)
        print("seed is", report.seed)

    def test_lost(server):
        verify.replay(FromNow, server, LOSS, settle=0.5)

    def test_expected_to_lose(server):
        with pytest.raises(verify.UpdateLost) as caught:
            verify.replay(FromNow, server, LOSS, settle=0.5)
        print("wrote", len(caught.value.files))

    def test_proved_nothing(server):
        with pytest.raises(verify.ProvedNothing):
            verify.replay(toy.RightStore, server, Schedule([Subscribe(), Write("a")]))
"""


@pytest.fixture
def proofs(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.delenv("NETFAULT_SEED", raising=False)
    sessions.file(PROOFS)
    return sessions


def _properties(file: Path) -> dict[str, dict[str, str]]:
    return {
        str(case.get("name")): {
            str(entry.get("name")).removeprefix("netfault."): str(entry.get("value"))
            for entry in case.iter("property")
        }
        for case in ET.parse(file).iter("testcase")
    }


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_proofs_draw_from_the_seed_and_leave_their_verdict_and_their_files(
    proofs: Any, files_below: Any, workers: int
) -> None:
    parallel = ("-n2",) if workers else ()
    result = proofs.run(
        "-rP",
        "--netfault-seed=11",
        "--netfault-output=out",
        "--junitxml=out.xml",
        *parallel,
        plugins=["xdist"],
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines_random(["seed is 11", "wrote [123]"])
    found = _properties(proofs.pytester.path / "out.xml")
    (folder,) = (path for path in (proofs.pytester.path / "out").iterdir() if path.is_dir())
    assert {name: properties["verdict"] for name, properties in found.items()} == {
        "test_kept": "kept",
        "test_lost": "broken",
        "test_expected_to_lose": "broken",
        "test_proved_nothing": "inconclusive",
    }
    lost = found["test_lost"]
    assert lost["schedule"].startswith("Schedule([Subscribe()")
    assert lost["artifact"] == str(folder)
    assert (lost["seed"], lost["examples"], lost["inconclusive"]) == ("11", "1", "0")
    assert lost["reason"] == "An update was lost: revision 3 never arrived"
    assert found["test_proved_nothing"]["reason"].startswith("nothing was proved: nothing was broken in 1 ")
    assert "reason" not in found["test_kept"]
    # The faults of a proof are faults of its test, whatever links it used itself.
    faults = {name: (properties["faults"], properties["met"]) for name, properties in found.items()}
    assert faults == dict.fromkeys(found, ("1", "1")) | {"test_proved_nothing": ("0", "0")}
    assert "artifact" not in found["test_expected_to_lose"]
    # Only of the test that failed: the trace and the schedule of the loss beside the rest.
    names = {Path(name).suffix if name.startswith("update-lost-") else name for name in files_below(folder)}
    assert {".json", ".py", "failure.txt", "events.json"} <= names
    result.stdout.fnmatch_lines(["*- netfault -*", f"more in {folder}"])


STRICT = """
    import pytest
    from pytest_netfault import verify
    from pytest_netfault.proof.announce import announced
    from pytest_netfault.proof.results import Kept

    @pytest.mark.parametrize("inconclusive", [0, 2])
    def test_it(inconclusive):
        report = verify.Report(10, inconclusive, 9, 0.1, 30)
        assert verify._returned(announced("no_update_lost", 1, lambda: Kept(report))) is report
"""


@pytest.mark.slow
def test_strict_does_not_let_an_inconclusive_example_pass(sessions: Any) -> None:
    sessions.file(STRICT)
    sessions.run().assert_outcomes(passed=2)
    result = sessions.run("--netfault-strict", "--junitxml=out.xml")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*ProvedNothing: 2 of 10 examples were inconclusive, which --netfault-strict does not let pass*"]
    )
    found = _properties(sessions.pytester.path / "out.xml")
    assert [found[f"test_it[{number}]"]["verdict"] for number in (0, 2)] == ["kept", "inconclusive"]


LINKS = """
    import pytest

    def test_passes(netfault, echo, talk):
        talk(netfault.forward(echo))

    def test_fails(netfault, echo, talk):
        talk(netfault.forward(echo))
        assert 0

    @pytest.fixture
    def broken(netfault, echo):
        netfault.forward(echo).reset()
        raise OSError("on purpose")

    def test_errs(broken):
        pass

    @pytest.fixture
    def breaks_late(netfault, echo):
        netfault.forward(echo).reset()
        yield
        raise OSError("on purpose")

    def test_errs_late(breaks_late):
        pass

    def test_uses_nothing():
        pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "kept"),
    [
        (None, {"test_fails", "test_errs", "test_errs_late"}),
        ("retain-on-failure", {"test_fails", "test_errs", "test_errs_late"}),
        ("on", {"test_passes", "test_fails", "test_errs", "test_errs_late"}),
        ("off", set()),
    ],
)
def test_which_tests_leave_a_folder(sessions: Any, option: str | None, kept: set[str]) -> None:
    sessions.file(LINKS)
    options = [] if option is None else [f"--netfault-artifacts={option}"]
    result = sessions.run("--netfault-output=out", "-W", "ignore::pytest_netfault.LinkWarning", *options)
    result.assert_outcomes(passed=3, failed=1, errors=2)
    out = sessions.pytester.path / "out"
    folders = (
        {path.name.rpartition("-")[0]: path for path in out.iterdir() if path.is_dir()}
        if out.exists()
        else {}
    )
    assert set(folders) == {f"test_it.py-{name}" for name in kept}
    for folder in folders.values():
        assert (folder / "events.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("given_by", ["option", "ini"])
def test_an_unknown_mode_is_refused_at_once(sessions: Any, given_by: str) -> None:
    sessions.file("def test_it(): pass")
    option = "--netfault-artifacts" if given_by == "option" else "--override-ini=netfault_artifacts"
    result = sessions.run(f"{option}=always")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*netfault*artifacts: 'always' is none of retain-on-failure, on, off"])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_summary_is_appended_where_it_was_asked_for(
    proofs: Any, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    file = proofs.pytester.path / "step.md"
    file.write_text("of the step before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    parallel = ("-n2",) if workers else ()
    options = ("--netfault-seed=11", "--netfault-output=out", "-k", "kept or test_lost")
    proofs.run(*options, *parallel, plugins=["xdist"]).assert_outcomes(passed=1, failed=1)
    assert file.read_text() == "of the step before\n", "nobody has asked"
    proofs.run(*options, "--netfault-summary=github", *parallel, plugins=["xdist"])
    text = file.read_text()
    assert text.startswith("of the step before\n### netfault: 2 tests, 1 failed\n\nseed 11, ")
    assert "proofs: 1 kept, 1 broken, 2 examples, 2 faults met traffic\n" in text
    assert "| failed | verdict | reason | faults | met traffic | files |\n" in text
    reason = "An update was lost: revision 3 never arrived"
    assert f"| `test_it.py::test_lost` | broken | {reason} | 1 | 1 | `out/test_it.py-test_lost-" in text
    assert "\n```python\nSchedule([Subscribe()" in text
    assert "\npytest test_it.py::test_lost --netfault-seed=11\n" in text
    assert "test_kept" not in text


@pytest.mark.slow
def test_without_a_step_summary_there_is_nothing_to_append_to(
    sessions: Any, monkeypatch: pytest.MonkeyPatch, files_below: Any
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    sessions.file(LINKS)
    before = files_below(sessions.pytester.path)
    sessions.run("--netfault-summary=github", "-k", "passes").assert_outcomes(passed=1)
    assert files_below(sessions.pytester.path) - before <= {"stdout", "stderr"}


@pytest.mark.slow
def test_a_summary_may_be_a_file_and_is_silent_about_what_did_not_use_it(sessions: Any) -> None:
    sessions.file(LINKS)
    file = sessions.pytester.path / "new" / "summary.md"
    sessions.run("--netfault-summary=new/summary.md", "-k", "nothing").assert_outcomes(passed=1)
    assert not file.exists()
    sessions.run("--netfault-summary=new/summary.md", "-k", "passes").assert_outcomes(passed=1)
    assert file.read_text().startswith("### netfault: 1 test, none failed\n")
    result = sessions.run("--netfault-summary=new", "-k", "passes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --netfault-summary=*new is a directory: name a file*"])
    result = sessions.run("--netfault-summary=/proc/nowhere/summary.md", "-k", "passes")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["netfault: the summary was not written: *"])


@pytest.mark.slow
def test_exit_codes_are_those_of_pytest(proofs: Any) -> None:
    assert proofs.run("-k", "kept", "--netfault-strict").ret == pytest.ExitCode.OK
    assert proofs.run("-k", "test_lost").ret == pytest.ExitCode.TESTS_FAILED
    assert proofs.run("-k", "no_such_test").ret == pytest.ExitCode.NO_TESTS_COLLECTED


KEPT = """
    def test_it(etcd_server):
        print("pid", etcd_server.pid, flush=True)
        assert {holds}
"""


@pytest.mark.slow
def test_a_server_is_kept_after_a_failure_until_ctrl_c(
    sessions: Any, read_until: Any, interrupt: Any, refuses: Any
) -> None:
    try:
        option = f"--netfault-etcd={find_binary()}"
    except ServerError as error:
        pytest.skip(f"there is no etcd to keep: {error}")
    sessions.file(KEPT.format(holds=False))
    process = sessions.start("--netfault-keep=on-failure", option)
    read_until(process, r"^E +assert False")  # a server is looked at with the failure in mind
    told = read_until(
        process, r"netfault: a test failed, so etcd_server at [\d.]+:(\d+) is kept; Ctrl-C ends it"
    )
    assert not refuses(int(told[1]))
    told_after = interrupt(process)
    assert "netfault: Ctrl-C, so it ends" in told_after
    assert "1 failed" in told_after
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert refuses(int(told[1]))
    sessions.file(KEPT.format(holds=True))
    sessions.run("--netfault-keep=on-failure", option).assert_outcomes(passed=1)


@pytest.mark.slow
def test_several_processes_keep_nothing_and_say_so(sessions: Any) -> None:
    sessions.file("def test_it(): pass")
    result = sessions.run("--netfault-keep=on-failure", "-n2", plugins=["xdist"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --netfault-keep=on-failure * leave -n out"])


# Somebody counts the attempts that the kernel refuses, and nobody else on the machine makes one.
COUNTED = """
    from pytest_netfault.proxy import kernel

    refused = [0]
    kernel.refused_attempts = lambda loopback: refused[0]

    def ask(address):
        try:
            return socket.create_connection(address, timeout=10)
        except ConnectionRefusedError:
            refused[0] += 1
"""
FILTERED = pytest.mark.linux("a fault of its inner session needs a socket filter")
UNSEEN: list[Any] = ["sever()", "refuse()", "apply(Mine())"]
UNSEEN += [pytest.param(fault, marks=FILTERED) for fault in ("lose(0.5)", "blackhole(packets=True)")]


@pytest.mark.slow
@pytest.mark.parametrize("fault", UNSEEN)
@pytest.mark.parametrize(
    ("does", "passes"),
    [
        ("with link.FAULT: talk_to(echo)", False),  # the client talks to the server itself
        ("with link.FAULT: pass", False),
        ("talk(link)\n    with link.FAULT: talk_to(echo)", True),  # used before
        ("with link.FAULT: pass\n    talk(link)", True),  # and after
    ],
)
def test_a_fault_that_leaves_no_trace_needs_a_link_that_somebody_used(
    sessions: Any, fault: str, does: str, passes: bool
) -> None:
    sessions.conftest(COUNTED)
    sessions.file(
        f"""
import dataclasses
import types
from pytest_netfault.proxy import CustomFault, Stage

@dataclasses.dataclass(frozen=True)
class Mine(CustomFault):
    def stage(self, place):
        return Stage()

def test_it(netfault, echo, talk):
    def talk_to(address):
        talk(types.SimpleNamespace(host=address[0], port=address[1]))

    link = netfault.forward(echo, name="shop")
    {does.replace("FAULT", fault)}
"""
    )
    result = sessions.run("--netfault-strict", "-W", "error")
    result.assert_outcomes(passed=1, errors=0 if passes else 1)
    if not passes:
        result.stdout.fnmatch_lines(
            ["*was in force on shop, and no client has used that link in this test: connect to 127.0.0.1:*"]
        )


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["sever()", "refuse()"])
@pytest.mark.parametrize("still", [False, True])
def test_a_client_that_is_only_ever_refused_is_not_blamed(sessions: Any, fault: str, still: bool) -> None:
    sessions.conftest(COUNTED)
    sessions.file(
        f"""
        from conftest import ask

        def test_it(netfault, echo):
            link = netfault.forward(echo)
            fault = link.{fault}
            assert ask((link.host, link.port)) is None
            {"pass" if still else "fault.heal()"}
        """
    )
    sessions.run("--netfault-strict", "-W", "error").assert_outcomes(passed=1)


@pytest.mark.parametrize("fault", ["sever()", "refuse()"])
@pytest.mark.parametrize("listen", ["127.0.0.1", "::1", "0.0.0.0", "unix"])
def test_the_kernel_says_that_a_client_was_refused(
    netfault: Any, tmp_path: Path, fault: str, listen: str
) -> None:
    """The real counters: they rise with each refused attempt of anybody, so that a right test is never blamed."""
    at = f"unix:{tmp_path / 'link'}" if listen == "unix" else (listen, 0)
    link = netfault.forward(("127.0.0.1", 9), listen=at)
    active = link.sever() if fault == "sever()" else link.refuse()
    family = {"unix": socket.AF_UNIX, "::1": socket.AF_INET6}.get(listen, socket.AF_INET)
    with socket.socket(family) as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(link.host if listen == "unix" else (link.host, link.port))
    active.heal()
    assert active._state.unseen


@pytest.mark.slow
def test_a_link_of_the_session_must_be_used_in_the_test_itself(sessions: Any) -> None:
    sessions.conftest(COUNTED)
    sessions.file(
        """
        import socket
        import pytest

        @pytest.fixture(scope="module")
        def link(netfault_factory, echo):
            with netfault_factory() as net:
                yield net.forward(echo)

        def test_uses_it(link, talk):
            talk(link)
            while link.connections:
                pass

        def test_does_not(link):
            with link.refuse():
                pass

        def test_has_a_connection_from_before(link):
            with link.refuse():
                pass

        @pytest.fixture(autouse=True)
        def pooled(request, link):
            with socket.socket() as client:
                if "before" in request.node.name:
                    client.connect((link.host, link.port))
                    link.wait_for_connection(2)
                yield
        """
    )
    result = sessions.run("--netfault-strict")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_does_not*"])


@pytest.mark.slow
def test_inputs_of_one_test_are_excused_together(sessions: Any) -> None:
    sessions.conftest(COUNTED)
    sessions.file(
        """
        import pytest

        @pytest.mark.parametrize("used", [True, False])
        def test_it(netfault_factory, echo, talk, used):
            for number in range(3):
                with netfault_factory() as net:
                    link = net.forward(echo)
                    with link.refuse():
                        pass
                    if used and number == 1:
                        talk(link)
        """
    )
    result = sessions.run("--netfault-strict")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_it?False?*", "test_it.py:8: Refuse() was in force on link1 3 times, *"]
    )


@pytest.mark.slow
def test_the_summary_says_why_a_test_failed_or_was_skipped(sessions: Any) -> None:
    sessions.conftest(
        """
        import pytest_netfault.servers.etcd.find as find
        from pytest_netfault.servers.errors import ServerNotFound

        def nothing(*_):
            raise ServerNotFound("no etcd | was found")

        find.find_etcd = nothing
        """
    )
    sessions.file(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_skipped(etcd_server, number):
            pass

        def test_fails(netfault, echo, talk):
            talk(netfault.forward(echo))
            raise TimeoutError("<b>nothing</b> | came\\nin time")

        @pytest.fixture
        def late(netfault, echo, talk):
            talk(netfault.forward(echo))
            yield
            raise OSError("late")

        def test_errs(late):
            pass
        """
    )
    for parallel in ((), ("-n2",)):
        file = sessions.pytester.path / "summary.md"
        file.unlink(missing_ok=True)
        sessions.run("--netfault-summary=summary.md", *parallel, plugins=["xdist"])
        text = file.read_text()
        assert text.startswith("### netfault: 4 tests, 2 failed, 2 skipped\n")
        assert "\nSkipped: 2 tests, because no etcd \\| was found\n" in text
        shown = "TimeoutError: \\<b\\>nothing\\</b\\> \\| came"
        assert f"| `test_it.py::test_fails` | - | {shown} | 0 | 0 | - |" in text
        assert "| `test_it.py::test_errs` | - | OSError: late | 0 | 0 | - |" in text
