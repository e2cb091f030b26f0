"""The fixtures: fresh for each test, closed after it, on one thread, and honest about a crash."""

from __future__ import annotations

import gc
import socket
import weakref
from typing import Any

import pytest

from pytest_netfault import Link, NetFault

pytestmark = pytest.mark.slow

CRASH = """
    def crash(netfault):
        def fall():
            raise ZeroDivisionError("a bug in the proxy")

        thread = netfault._thread
        thread.call(lambda: thread.engine().call_at(0, fall))
        thread._life.thread.join()
"""


def test_the_types_of_the_fixtures_can_be_imported(netfault: NetFault) -> None:
    link: Link = netfault.forward(("127.0.0.1", 9))
    assert isinstance(netfault, NetFault)
    assert isinstance(link, Link)
    assert netfault.links == (link,)


def test_each_has_a_repr_of_one_word(netfault: NetFault, netfault_factory: Any) -> None:
    assert (repr(netfault), repr(netfault_factory)) == ("netfault", "netfault_factory")


def test_a_test_finds_nothing_of_the_test_before(sessions: Any) -> None:
    sessions.file(
        """
        import socket
        import pytest

        ports = []

        @pytest.mark.parametrize("number", range(3))
        def test_it(netfault, echo, talk, number):
            for port in ports:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port))
            assert netfault.links == ()
            link = netfault.forward(echo)
            ports.append(link.port)
            assert talk(link) == b"hello"
            netfault.forward(echo).sever()      # never healed by the test
        """
    )
    sessions.run().assert_outcomes(passed=3)


def test_everything_runs_on_one_thread_which_ends_with_the_session(sessions: Any) -> None:
    sessions.conftest(
        """
        def count():
            return [thread.name for thread in threading.enumerate()].count("netfault-proxy")

        def pytest_unconfigure():
            print("at the end:", count())

        @pytest.fixture(scope="session")
        def proxies(netfault_factory):
            assert count() == 0     # nobody has forwarded anything yet
            return count
        """
    )
    sessions.file(
        """
        def test_one(proxies, netfault, netfault_factory, echo):
            netfault.forward(echo)
            with netfault_factory() as net, netfault_factory() as other:
                net.forward(echo), other.forward(echo)
                assert proxies() == 1

        def test_two(proxies, netfault, echo):
            netfault.forward(echo)
            assert proxies() == 1
        """
    )
    result = sessions.run("-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*at the end: 0"])


def test_what_a_test_leaves_open_ends_with_the_session(sessions: Any, refuses: Any) -> None:
    sessions.file(
        """
        def test_it(netfault_factory, echo, talk):
            link = netfault_factory().forward(echo)
            talk(link)
            print("port", link.port)
        """
    )
    result = sessions.run("-s")
    result.assert_outcomes(passed=1)
    port = next(line for line in result.outlines if line.startswith("test_it.py port")).split()[-1]
    assert refuses(int(port))


def test_random_choices_come_from_the_session_seed_unless_a_test_says_otherwise(sessions: Any) -> None:
    sessions.file(
        """
        import pytest

        def test_it(netfault, netfault_factory):
            assert netfault.seed == 42
            assert netfault_factory().seed == 42
            assert netfault_factory(seed=7).seed == 7
            with pytest.raises(TypeError, match="seed must be a whole number"):
                netfault_factory(seed="7")
        """
    )
    sessions.run("--netfault-seed=42").assert_outcomes(passed=1)


def test_a_factory_serves_each_input_of_a_property_based_test(sessions: Any) -> None:
    sessions.file(
        """
        from hypothesis import given, settings, strategies

        @settings(max_examples=30, deadline=None, database=None)
        @given(text=strategies.binary(min_size=1, max_size=100))
        def test_it(netfault_factory, echo, talk, text):
            with netfault_factory() as net:
                link = net.forward(echo)
                assert link.name == "link1"
                with link.slice(3):
                    assert talk(link, text) == text
        """
    )
    result = sessions.run(plugins=["hypothesispytest"])
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["netfault: seed *, * links, * faults, * of them met traffic"])


def test_links_of_inputs_that_are_over_are_not_kept(netfault_factory: Any) -> None:
    def try_input() -> weakref.ref[Link]:
        with netfault_factory() as net:
            link = net.forward(("127.0.0.1", 9))
            with link.refuse(), pytest.raises(ConnectionRefusedError):
                socket.create_connection((link.host, link.port))
            return weakref.ref(link)

    seen = [try_input() for _ in range(20)]
    gc.collect()
    assert not any(link() for link in seen)


def test_a_crash_of_the_proxy_fails_the_test_that_ran(sessions: Any) -> None:
    sessions.conftest(CRASH)
    sessions.file(
        """
        from conftest import crash

        def test_before(netfault, echo, talk):
            talk(netfault.forward(echo))

        def test_crash(netfault, netfault_factory, echo):
            netfault_factory().forward(echo)
            netfault.forward(echo)
            crash(netfault)

        def test_after(netfault, echo, talk):
            talk(netfault.forward(echo))
        """
    )
    result = sessions.run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_crash _*",
            '*raise ZeroDivisionError("a bug in the proxy")*',
            "*RuntimeError: the proxy has crashed: ZeroDivisionError('a bug in the proxy')",
            "*- netfault -*",
            "the proxy crashed:",
        ]
    )


def test_a_crash_beside_a_failure_of_its_own_is_shown_with_it(sessions: Any) -> None:
    sessions.conftest(CRASH)
    sessions.file(
        """
        from conftest import crash

        def test_crash(netfault, echo):
            netfault.forward(echo)
            crash(netfault)
            assert False, "something else"
        """
    )
    result = sessions.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*something else*", "*- netfault -*", "the proxy crashed:", "*ZeroDivisionError: a bug in the proxy"]
    )


def test_a_crash_in_the_teardown_is_an_error_of_that_test(sessions: Any) -> None:
    sessions.conftest(CRASH)
    sessions.file(
        """
        import pytest
        from conftest import crash

        @pytest.fixture
        def late(netfault, echo):
            netfault.forward(echo)
            yield
            crash(netfault)

        def test_crash(late):
            pass

        def test_after(netfault, echo, talk):
            talk(netfault.forward(echo))
        """
    )
    result = sessions.run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_crash*", "*RuntimeError: the proxy has crashed: ZeroDivisionError*"]
    )


def test_a_crash_that_no_link_of_the_test_notices_is_an_error_too(sessions: Any) -> None:
    sessions.conftest(CRASH)
    sessions.file(
        """
        import pytest
        from conftest import crash

        @pytest.fixture(scope="session")
        def net(netfault_factory, echo):
            net = netfault_factory()
            net.forward(echo)
            return net

        @pytest.fixture
        def late(net):
            yield
            crash(net)

        def test_crash(late):
            pass

        def test_after(netfault, echo, talk):
            talk(netfault.forward(echo))
        """
    )
    result = sessions.run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_crash*", "*RuntimeError: the proxy has crashed: ZeroDivisionError*"]
    )


@pytest.mark.parametrize("end", ["pytest.skip('enough')", "pytest.xfail('known')"])
def test_a_crash_is_not_hidden_by_a_test_that_may_fail(sessions: Any, end: str) -> None:
    sessions.conftest(CRASH)
    sessions.file(
        f"""
        import pytest
        from conftest import crash

        def test_crash(netfault, echo):
            netfault.forward(echo)
            crash(netfault)
            {end}
        """
    )
    result = sessions.run()
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["*RuntimeError: the proxy has crashed: ZeroDivisionError*"])


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_failure_in_a_set_up_leaves_nothing(sessions: Any, refuses: Any, where: str) -> None:
    fails = "raise OSError('no database')"
    sessions.file(
        f"""
        import pytest

        @pytest.fixture
        def link(netfault, echo):
            {fails if where == "before" else "pass"}
            link = netfault.forward(echo)
            print("port", link.port)
            link.sever()
            {fails}

        def test_it(link):
            pass
        """
    )
    result = sessions.run("-s")
    result.assert_outcomes(errors=1)
    ports = [line.split()[-1] for line in result.outlines if "port " in line and "print" not in line]
    assert len(ports) == (where == "after")
    assert all(refuses(int(port)) for port in ports)
    section = "*in force: Sever()*"
    if where == "after":
        result.stdout.fnmatch_lines(["*- netfault -*", section])
    else:
        result.stdout.no_fnmatch_line(section)
