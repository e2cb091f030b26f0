"""Beside plugins that our own tests do not need: ``tox -e neighbours`` installs them and runs this file.

It is not collected by its name, so that they are loaded in no other test of ours.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

USES_A_LINK = """
    import pytest

    def test_it(netfault, echo, talk):
        link = netfault.forward(echo)
        assert talk(link) == b"hello"
        with link.refuse():
            with pytest.raises(ConnectionRefusedError):
                talk(link)
"""


def test_trio_runs_its_tests_beside_the_thread_of_the_proxy(sessions: Any) -> None:
    sessions.file(
        """
        import pytest
        import trio

        @pytest.mark.trio
        async def test_it(netfault, echo):
            link = netfault.forward(echo)
            stream = await trio.open_tcp_stream(link.host, link.port)
            async with stream:
                await stream.send_all(b"hello")
                assert await stream.receive_some(5) == b"hello"
                with link.sever():
                    assert await stream.receive_some(1) == b""

        @pytest.fixture
        async def connected(netfault, echo):
            link = netfault.forward(echo)
            async with await trio.open_tcp_stream(link.host, link.port) as stream:
                yield link, stream

        @pytest.mark.trio
        async def test_an_async_fixture(connected):
            link, stream = connected
            await stream.send_all(b"x")
            assert await stream.receive_some(1) == b"x"
            with link.reset():
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some(1)
        """
    )
    result = sessions.run("-p", "trio")
    result.assert_outcomes(passed=2)


def test_trio_in_auto_mode_leaves_our_fixtures_alone(sessions: Any) -> None:
    sessions.pytester.makeini("[pytest]\ntrio_mode = true\n")
    sessions.file(USES_A_LINK)
    sessions.run("-W", "error", "-p", "trio").assert_outcomes(passed=1)


def test_all_three_that_run_coroutines_together(sessions: Any) -> None:
    sessions.file(USES_A_LINK)
    options = ("--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    result = sessions.run(*options, "-p", "trio", plugins=["asyncio", "anyio"])
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_cov_measures_what_the_test_measures(sessions: Any, workers: tuple[str, ...]) -> None:
    sessions.file(USES_A_LINK)
    options = ("--cov=test_it", "--cov-report=json:cov.json", *workers)
    result = sessions.run(*options, plugins=["xdist", "pytest_cov"])
    result.assert_outcomes(passed=1)
    files = json.loads((sessions.pytester.path / "cov.json").read_text())["files"]
    assert files["test_it.py"]["summary"]["percent_covered"] == 100


def test_syrupy_keeps_its_snapshots(sessions: Any) -> None:
    sessions.file(
        """
        def test_it(netfault, echo, talk, snapshot):
            assert talk(netfault.forward(echo)) == snapshot
        """
    )
    sessions.run("--snapshot-update", plugins=["syrupy"]).assert_outcomes(passed=1)
    result = sessions.run("-W", "error", plugins=["syrupy"])
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 snapshot passed*"])


def test_html_shows_our_section(sessions: Any) -> None:
    sessions.file(
        """
        def test_it(netfault, echo, talk):
            link = netfault.forward(echo, name="store")
            talk(link)
            link.sever()
            assert 0
        """
    )
    result = sessions.run(
        "--html=out.html", "--self-contained-html", plugins=["pytest_html.plugin", "pytest_metadata.plugin"]
    )
    result.assert_outcomes(failed=1)
    assert "in force: Sever()" in (sessions.pytester.path / "out.html").read_text()


def test_everything_that_is_installed_is_loaded_by_itself(
    sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    sessions.file(USES_A_LINK)
    result = sessions.pytester.runpytest_subprocess("-o", "asyncio_default_fixture_loop_scope=function")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["plugins: *netfault-*"])
