"""What a failing test shows of the network, where it is written, and the warning about a fault that met nothing."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.report.network_story import NetworkStory
from pytest_netfault.report.timeline_links import link_picture

pytestmark = pytest.mark.slow

FAILS = """
    import pytest

    @pytest.mark.parametrize("what", ["a b"])
    def test_fails(netfault, echo, talk, what):
        link = netfault.forward(echo, name="store")
        talk(link)
        link.sever()
        with link.blackhole("up"):
            pass
        assert what == "nothing"

    def test_passes(netfault, echo, talk):
        talk(netfault.forward(echo, name="other"))

    def test_fails_alone():
        assert 0

    def test_fails_without_a_link(netfault):
        assert 0
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_shows_its_links_and_how_to_run_it_again(sessions: Any, workers: int) -> None:
    sessions.file(FAILS)
    parallel = ("-n2",) if workers else ()
    result = sessions.run("--netfault-seed=11", *parallel, plugins=["xdist"])
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*- netfault -*",
            "seed 11, to run it again: pytest 'test_it.py::test_fails?a b?' --netfault-seed=11",
            "store 127.0.0.1:* -> 127.0.0.1:*, 5 B up, 5 B down, in force: Sever()",
            "  +*s store #1 accepted by client*",
            "  +*s store fault Sever() (test_it.py:7)",
            "  +*s store fault Blackhole(direction='up') (test_it.py:8)",
            "  +*s store heal Blackhole(direction='up')",
        ]
    )
    assert sum("- netfault -" in line for line in result.outlines) == 1, (
        "only a test with a link has a section"
    )
    result.stdout.no_fnmatch_line("*other 127.0.0.1*")
    result.stdout.fnmatch_lines(["netfault: seed 11, 2 links, 2 faults, *"])


def test_the_command_of_a_failure_runs_just_that_test_again(sessions: Any) -> None:
    sessions.file(FAILS)
    first = sessions.run()
    line = next(line for line in first.outlines if "to run it again: " in line)
    command = shlex.split(line.partition("again: ")[2])
    assert command[0] == "pytest"
    again = sessions.run(*command[1:])
    again.assert_outcomes(failed=1)
    assert line in again.outlines


def test_the_command_is_right_in_another_directory_too(
    sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.pytester.makeini("[pytest]\n")
    sessions.file(FAILS)
    below = sessions.pytester.mkdir("below")
    monkeypatch.chdir(below)
    result = sessions.run("..")
    result.stdout.fnmatch_lines(["seed *, to run it again: pytest '../test_it.py::test_fails?a b?' *"])


def test_of_many_events_the_first_and_the_last_are_shown(sessions: Any) -> None:
    sessions.file(
        """
        def test_it(netfault, echo, talk):
            link = netfault.forward(echo)
            for _ in range(15):
                with link.refuse():
                    pass
            talk(link)
            link.reset()
            assert 0
        """
    )
    result = sessions.run()
    result.stdout.fnmatch_lines(
        [
            "20 of * events:",
            "*fault Refuse() (test_it.py:*)",
            "*events left out",
            "*fault Reset() (test_it.py:*)",
            "*rst*",
        ]
    )
    assert sum(line.startswith("  +") for line in result.outlines) == 20


def test_a_link_of_a_wider_scope_is_shown_in_the_tests_that_used_it(sessions: Any) -> None:
    sessions.file(
        """
        import pytest

        @pytest.fixture(scope="module")
        def link(netfault_factory, echo):
            with netfault_factory() as net:
                yield net.forward(echo, name="wide")

        def test_first(link, talk):
            talk(link)
            while link.connections:     # its end belongs to this test as well
                pass

        def test_second(link, talk):
            with link.delay(0.001):
                talk(link)
            while link.connections:
                pass
            assert 0

        def test_third(link):
            assert 0
        """
    )
    result = sessions.run()
    result.assert_outcomes(passed=1, failed=2)
    assert sum("- netfault -" in line for line in result.outlines) == 1, "the third test has not used it"
    result.stdout.fnmatch_lines(["  +*s wide fault Delay(0.001) (test_it.py:*)", "  +*s wide #2 accepted*"])
    result.stdout.no_fnmatch_line("*wide #1 accepted*")


def test_what_was_in_force_is_shown_also_of_a_netfault_that_the_failure_closed(sessions: Any) -> None:
    sessions.file(
        """
        def test_it(netfault_factory, echo, talk):
            with netfault_factory() as net:
                link = net.forward(echo)
                talk(link)
                link.sever()
                assert 0
        """
    )
    sessions.run().stdout.fnmatch_lines(
        ["link1 * 5 B up, 5 B down, in force: Sever()", "  +*fault Sever() (test_it.py:*)"]
    )


def test_the_last_inputs_of_a_property_are_shown(sessions: Any) -> None:
    sessions.file(
        """
        from hypothesis import given, settings, strategies

        @settings(deadline=None, database=None, derandomize=True)
        @given(size=strategies.integers(1, 1000))
        def test_it(netfault_factory, echo, talk, size):
            with netfault_factory() as net:
                talk(net.forward(echo), b"x" * size)
            assert size < 10
        """
    )
    result = sessions.run(plugins=["hypothesispytest"])
    result.assert_outcomes(failed=1)
    links = [line for line in result.outlines if line.startswith("link1 ")]
    assert 0 < len(links) <= 8
    assert ", 10 B up, 10 B down" in links[-1], "the smallest example is tried last"


@pytest.mark.parametrize("workers", [0, 2])
def test_junit_files_carry_the_numbers(sessions: Any, workers: int) -> None:
    sessions.file(FAILS)
    parallel = ("-n2",) if workers else ()
    sessions.run("--netfault-seed=11", "--junitxml=out.xml", *parallel, plugins=["xdist"])
    cases = ET.parse(sessions.pytester.path / "out.xml").iter("testcase")
    found = {
        case.get("name"): {entry.get("name"): entry.get("value") for entry in case.iter("property")}
        for case in cases
    }
    assert found == {
        "test_fails[a b]": {
            "netfault.seed": "11",
            "netfault.links": "1",
            "netfault.faults": "2",
            "netfault.met": found["test_fails[a b]"]["netfault.met"],
        },
        "test_passes": {
            "netfault.seed": "11",
            "netfault.links": "1",
            "netfault.faults": "0",
            "netfault.met": "0",
        },
        "test_fails_alone": {},
        "test_fails_without_a_link": {},
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_the_output_directory_has_a_folder_for_each_failing_test_with_links(
    sessions: Any, workers: int, files_below: Any
) -> None:
    sessions.file(FAILS)
    kept = sessions.pytester.path / "out" / "older.txt"
    kept.parent.mkdir()
    kept.write_text("of an earlier run")
    parallel = ("-n2",) if workers else ()
    result = sessions.run("--netfault-output=out", *parallel, plugins=["xdist"])
    files = {Path(name) for name in files_below(kept.parent)}
    (folder,) = {name.parent for name in files} - {Path()}
    expected = {Path("older.txt"), Path("index.html"), folder / "events.json", folder / "failure.txt"}
    assert files - {folder / "report.html"} == expected
    assert folder.name.startswith("test_it.py-test_fails-a-b-")
    result.stdout.fnmatch_lines([f"more in {kept.parent / folder}"])
    story = json.loads((kept.parent / folder / "events.json").read_text())
    assert story["nodeid"] == "test_it.py::test_fails[a b]"
    (link,) = story["links"]
    assert link["name"] == "store"
    kinds = [event["kind"] for event in link["events"]]
    assert kinds[0] == "accepted"
    # The last heal is ours, when the test had returned; the report says all the same what was in force until then.
    assert [kind for kind in kinds if kind in ("fault", "heal")] == ["fault", "fault", "heal", "heal"]
    assert "in force: Sever()" in (kept.parent / folder / "failure.txt").read_text()


def test_an_output_that_cannot_be_written_hides_nothing(sessions: Any) -> None:
    sessions.conftest(
        """
        def pytest_collection_finish(session):  # the option was found good, and then the disk was not
            (session.config.rootpath / "out").symlink_to("/proc/nowhere")
        """
    )
    sessions.file(FAILS)
    result = sessions.run("--netfault-output=out")
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["*in force: Sever()", "more in *out*", "... or not: *Errno*"])


def test_each_failing_subtest_shows_it_too(sessions: Any) -> None:
    if pytest.version_tuple < (9, 0):
        pytest.skip("pytest has subtests of its own from 9.0 on")
    sessions.file(
        """
        def test_it(netfault, echo, talk, subtests):
            link = netfault.forward(echo)
            for number in range(3):
                with subtests.test(number=number):
                    talk(link)
                    assert number != 1
        """
    )
    result = sessions.run()
    assert result.parseoutcomes()["failed"] >= 1
    assert sum("- netfault -" in line for line in result.outlines) >= 1


def test_an_ini_output_is_relative_to_the_root(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions.pytester.makeini("[pytest]\nnetfault_output = out\n")
    sessions.file(FAILS)
    monkeypatch.chdir(sessions.pytester.mkdir("below"))
    sessions.run("..")
    assert (sessions.pytester.path / "out").is_dir()


VACUOUS = """
    import pytest

    def test_vacuous(netfault, echo):
        link = netfault.forward(echo, name="store")
        with link.delay(0.1):
            pass

    def test_still_in_force(netfault, echo):
        netfault.forward(echo).cut(1000)

    def test_met(netfault, echo, talk):
        link = netfault.forward(echo)
        link.delay(0.001)
        talk(link)

    def test_cannot_be_known(netfault, echo, talk):
        link = netfault.forward(echo)
        with link.refuse(), link.sever(), link.lose(0):
            pass
        talk(link)      # somebody uses the link, so that a refused attempt may have been there

    def test_fails_anyway(netfault, echo):
        netfault.forward(echo).delay(0.1)
        assert 0

    def test_is_skipped_anyway(netfault, echo):
        netfault.forward(echo).delay(0.1)
        pytest.skip("enough")
"""


@pytest.mark.linux("a fault of its inner session needs a socket filter")
def test_a_fault_that_met_nothing_is_a_warning_at_its_line(sessions: Any) -> None:
    sessions.file(VACUOUS)
    result = sessions.run()
    result.assert_outcomes(passed=4, failed=1, skipped=1, warnings=2)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_vacuous",
            "  *test_it.py:5: LinkWarning: Delay(0.1) was in force on store and met no traffic: *",
            "test_it.py::test_still_in_force",
            "  *test_it.py:9: LinkWarning: Cut(1000) was in force on link1 and met no traffic*",
        ]
    )


@pytest.mark.parametrize("way", [(), ("--netfault-strict",)])
def test_a_decorator_or_a_fixture_is_not_mistaken_for_the_line(sessions: Any, way: tuple[str, ...]) -> None:
    sessions.file(
        """
        import pytest

        @pytest.fixture
        def slow(netfault, echo):
            with netfault.forward(echo).delay(0.1):
                yield

        @pytest.mark.parametrize("number", [1])
        @pytest.mark.parametrize(
            "word", ["a"]
        )
        def test_decorated(netfault, echo, number, word):
            link = netfault.forward(echo)
            faults = [link.delay(0.1)]

        def test_with_a_fixture(slow):
            pass
        """
    )
    result = sessions.run(*way)
    for line in (14, 5):
        result.stdout.fnmatch_lines_random(
            [f"*test_it.py:{line}: *Delay(0.1) was in force on link1 and met no*"]
        )


@pytest.mark.linux("a fault of its inner session needs a socket filter")
@pytest.mark.parametrize("way", [("-W", "error"), ("--netfault-strict",), ("-n2", "--netfault-strict")])
def test_it_is_a_failure_if_warnings_are_or_if_strict(sessions: Any, way: tuple[str, ...]) -> None:
    sessions.file(VACUOUS)
    result = sessions.run(*way, plugins=["xdist"])
    result.assert_outcomes(passed=4, failed=1, skipped=1, errors=2)
    result.stdout.fnmatch_lines_random(
        ["*ERROR at teardown of test_vacuous*", "*ERROR at teardown of test_still_in_force*"]
    )


@pytest.mark.parametrize("mark", ["pytest.mark.filterwarnings('ignore::pytest_netfault.LinkWarning')"])
def test_a_test_may_say_that_it_knows(sessions: Any, mark: str) -> None:
    sessions.file(
        f"""
        import pytest

        @{mark}
        def test_it(netfault, echo):
            netfault.forward(echo).delay(0.1)
        """
    )
    sessions.run("-W", "error").assert_outcomes(passed=1)


def test_faults_of_generated_inputs_are_judged_together(sessions: Any) -> None:
    sessions.file(
        """
        import pytest

        @pytest.mark.parametrize("hits", [True, False])
        def test_it(netfault_factory, echo, talk, hits):
            for number in range(1, 6):
                with netfault_factory() as net:
                    link = net.forward(echo)
                    with link.delay(number / 1000):
                        if hits and number == 3:
                            talk(link)
        """
    )
    result = sessions.run()
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_it?False?", "*Delay(0.005) was in force on link1 5 times and met no traffic*"]
    )
    result.stdout.fnmatch_lines(["netfault: *10 links, 10 faults, 1 of them met traffic"])


def test_what_the_client_did_itself_is_blamed_on_no_fault(sessions: Any) -> None:
    sessions.file(
        """
        import socket
        import struct

        def hang_up(link):
            with socket.create_connection((link.host, link.port), timeout=10) as client:
                client.sendall(b"hello")
                client.recv(1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            while link.connections:
                pass

        def test_without_a_fault(netfault, echo):
            hang_up(netfault.forward(echo))
            assert 0

        def test_after_a_heal(netfault, echo):
            link = netfault.forward(echo)
            link.sever().heal()
            hang_up(link)
            assert 0
        """
    )
    result = sessions.run("--netfault-output=out")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["  +*s link1 #1 rst by client*", "  +*s link1 #1 closed by client*"])
    stories = [
        json.loads(path.read_text()) for path in (sessions.pytester.path / "out").glob("*/events.json")
    ]
    ends = [
        event
        for story in stories
        for event in story["links"][0]["events"]
        if event["kind"] in ("rst", "closed")
    ]
    assert [(end["kind"], end["by"], end["fault_id"]) for end in ends] == [
        ("rst", "client", None),
        ("closed", "client", None),
    ] * 2
    for page in (sessions.pytester.path / "out").glob("*/report.html"):
        assert "The last fault that met traffic" not in page.read_text("utf-8")


def test_the_events_beside_a_page_say_all_that_the_page_says(sessions: Any) -> None:
    pytest.importorskip("jinja2", reason="the report is drawn with Jinja2")
    from pytest_netfault.report.html import render

    sessions.file(
        """
        import threading
        import pytest
        from pytest_netfault.proxy import CustomFault

        class Mine(CustomFault):
            def __init__(self):
                self.lock = threading.Lock()  # which JSON cannot hold
            def stage(self, place):
                return None

        def test_it(netfault, echo, talk):
            link = netfault.forward(echo, name="shop")
            link.apply(Mine())
            with link.delay(0.001):
                talk(link)
            link.cut(3, direction="up", how="rst")
            with pytest.raises((OSError, AssertionError)):
                talk(link)
            assert 0, "the order is gone"
        """
    )
    sessions.run("--netfault-output=out")
    [events] = (sessions.pytester.path / "out").glob("*/events.json")
    story = NetworkStory.from_json(json.loads(events.read_text("utf-8")))
    page = render(link_picture(story))
    assert page == (events.parent / "report.html").read_text("utf-8")
    for said in ("the order is gone", "test_it.py::test_it", "Cut(3, ", "Delay(0.001)", "Mine()"):
        assert said in page


LEFT = """
    import pytest

    @pytest.fixture(scope="session")
    def shop(netfault_factory, echo):
        with netfault_factory() as net:
            link = net.forward(echo, name="shop")
            link.delay(0.001)                   # meant for the whole session
            yield link

    def test_leaves_it(shop, talk):
        talk(shop)
        shop.sever()

    def test_next(shop, talk):
        talk(shop)

    def test_knows_nothing_of_it():
        assert 0

    def test_heals(shop, talk):
        shop.heal()
        talk(shop)

    def test_fails_for_a_reason_of_its_own():
        assert 0
"""


@pytest.mark.parametrize("strict", [False, True])
def test_a_fault_left_in_force_on_a_link_that_lives_on_is_named(sessions: Any, strict: bool) -> None:
    sessions.file(LEFT)
    result = sessions.run(*(["--netfault-strict"] if strict else []))
    left = "Sever() is still in force on shop (127.0.0.1:*), which the next test may use: heal it, or *"
    if strict:
        result.assert_outcomes(passed=2, failed=3, errors=1)
        result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaves_it*", f"test_it.py:12: {left}"])
    else:
        result.assert_outcomes(passed=2, failed=3, warnings=1)
        result.stdout.fnmatch_lines(["test_it.py::test_leaves_it", f"  *LinkWarning: {left}"])
    said = "Sever() is in force on shop (127.0.0.1:*): test_it.py::test_leaves_it has left it so"
    result.stdout.fnmatch_lines(
        [
            "*- netfault -*",
            said,
            "shop *, in force: Delay(0.001), Sever()",
            "*_ test_knows_nothing_of_it _*",
            "*- netfault -*",
            said,
            "*_ test_fails_for_a_reason_of_its_own _*",
        ]
    )
    _, _, last = result.stdout.str().partition("_ test_fails_for_a_reason_of_its_own _")
    assert "has left it so" not in last


@pytest.mark.parametrize(
    ("setting", "named"),
    [("session", False), ("module", False), ("function", True)],
)
def test_what_a_fixture_of_a_wider_scope_applies_is_meant_to_last(
    sessions: Any, setting: str, named: bool
) -> None:
    sessions.file(
        f"""
        import pytest

        @pytest.fixture(scope="session")
        def link(netfault_factory, echo):
            with netfault_factory() as net:
                yield net.forward(echo, name="shop")

        @pytest.fixture(scope="{setting}")
        def slow(link):
            link.delay(0.001)

        def test_it(slow, link, talk):
            talk(link)

        def test_after(link):
            pass
        """
    )
    result = sessions.run()
    result.assert_outcomes(passed=2, warnings=int(named))
    if named:
        result.stdout.fnmatch_lines(["*Delay(0.001) is still in force on shop *"])


def test_a_link_that_a_test_made_for_itself_is_not_left_to_anybody(sessions: Any) -> None:
    sessions.file(
        """
        def test_it(netfault_factory, netfault, echo, talk):
            for net in (netfault, netfault_factory()):
                link = net.forward(echo)
                link.delay(0.001)
                talk(link)
        """
    )
    sessions.run("--netfault-strict").assert_outcomes(passed=1)


def test_a_test_that_fails_and_leaves_a_fault_is_an_error_as_well_if_strict(sessions: Any) -> None:
    sessions.file(LEFT.replace("shop.sever()", "shop.sever(); assert 0"))
    sessions.run("--netfault-strict").assert_outcomes(passed=1, failed=4, errors=1)
    sessions.run().assert_outcomes(passed=1, failed=4, warnings=1)


def test_a_fault_left_by_a_test_whose_teardown_fails_is_named_too(sessions: Any) -> None:
    sessions.file(
        LEFT
        + """
    @pytest.fixture(autouse=True)
    def breaks(request):
        yield
        if request.node.name == "test_leaves_it":
            raise OSError("on purpose")
"""
    )
    result = sessions.run()
    result.assert_outcomes(passed=2, failed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_knows_nothing_of_it _*",
            "Sever() is in force on shop (*): test_it.py::test_leaves_it has left it so",
        ]
    )
