"""A session that does not use the plugin pays nothing for it, hears nothing of it and finds nothing afterwards."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

HEAVY = ("trio", "hypothesis", "grpc", "docker", "asyncio", "ssl", "jinja2", "rich")

WHOLE_SESSION = """
import sys
import pytest

code = pytest.main(sys.argv[1:])
heavy = [name for name in {heavy!r} if name in sys.modules]
assert "pytest_netfault.plugin" in sys.modules, "the plugin was not even loaded"
print("heavy:", heavy, "code:", int(code))
"""

ORDINARY = """
    import warnings
    import pytest

    @pytest.fixture(scope="session")
    def number():
        yield 1

    def test_passes(number, tmp_path):
        assert number == 1

    def test_fails():
        assert 0

    @pytest.fixture
    def broken():
        raise OSError("no database")

    def test_errs(broken):
        pass

    def test_is_skipped():
        pytest.skip("why not")

    @pytest.mark.xfail
    def test_is_known_to_fail():
        assert 0

    def test_warns():
        warnings.warn("look")
"""


def _imported(sessions: Any, *arguments: str) -> str:
    script = sessions.pytester.path / "whole_session.py"
    script.write_text(WHOLE_SESSION.format(heavy=HEAVY))
    done = subprocess.run(
        [sys.executable, str(script), "-p", "netfault", *arguments],
        cwd=sessions.pytester.path,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def test_an_empty_session_imports_nothing_heavy(sessions: Any) -> None:
    (sessions.pytester.path / "conftest.py").unlink()
    assert _imported(sessions) == f"heavy: [] code: {int(pytest.ExitCode.NO_TESTS_COLLECTED)}"


@pytest.mark.parametrize(
    "arguments", [(), ("-v",), ("--collect-only",), ("--help",), ("--junitxml=out.xml",)]
)
def test_a_session_of_ordinary_tests_imports_nothing_heavy(sessions: Any, arguments: tuple[str, ...]) -> None:
    (sessions.pytester.path / "conftest.py").unlink()
    sessions.file(ORDINARY)
    assert _imported(sessions, *arguments).startswith("heavy: []")


def test_the_check_above_can_fail(sessions: Any) -> None:
    sessions.file("def test_it(netfault): pass")
    assert "trio" in _imported(sessions)


def test_an_ordinary_session_says_and_leaves_the_same_with_and_without_us(
    sessions: Any, files_below: Any
) -> None:
    sessions.file(ORDINARY)
    before = files_below(sessions.pytester.path)
    with_us = sessions.run("-v")
    without = sessions.run_without("-v")

    def said(result: pytest.RunResult) -> list[str]:
        return [line for line in result.outlines if " in " not in line and not line.startswith("plugins:")]

    assert said(with_us) == said(without)
    with_us.assert_outcomes(passed=2, failed=1, errors=1, skipped=1, xfailed=1, warnings=1)
    assert "netfault" not in "\n".join(said(with_us)).replace("conftest", "")
    assert files_below(sessions.pytester.path) - before <= {"stdout", "stderr"}


def test_without_the_plugin_its_fixtures_are_not_there(sessions: Any) -> None:
    sessions.file("def test_it(netfault): pass")
    result = sessions.run_without()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'netfault' not found*"])


def test_its_options_stand_together_in_the_help(sessions: Any) -> None:
    result = sessions.run("--help")
    result.stdout.fnmatch_lines(
        ["network faults:", "*--netfault-seed=N*", "*--netfault-etcd=WHERE*", "*--netfault-strict*"]
    )
    result.stdout.fnmatch_lines(["*netfault_seed (string):*", "*netfault_output (string):*"])
