"""Options and ini values: which goes first, what they take, and where they are shown."""

from __future__ import annotations

from typing import Any

import pytest

PRINTS_ITS_SEED = """
    def test_it(netfault):
        print("seed is", netfault.seed)
"""
NO_USE = "def test_it(): pass"


def _seeds(result: pytest.RunResult) -> set[str]:
    return {line.split()[-1] for line in result.outlines if "seed is" in line}


def test_the_seed_differs_from_session_to_session(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    assert _seeds(sessions.run("-s")) != _seeds(sessions.run("-s"))


def test_the_option_goes_before_the_ini_value(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    sessions.pytester.makeini("[pytest]\nnetfault_seed = 5\n")
    assert _seeds(sessions.run("-s")) == {"5"}
    assert _seeds(sessions.run("-s", "--netfault-seed=0")) == {"0"}
    assert _seeds(sessions.run("-s", "-o", "netfault_seed=6")) == {"6"}


def test_ini_values_may_be_toml(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    sessions.pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nnetfault_seed = "5"\nnetfault_strict = true\n'
    )
    result = sessions.run("-s")
    assert _seeds(result) == {"5"}
    result.stdout.fnmatch_lines(["netfault: seed=5, strict=True"])


@pytest.mark.parametrize("seed", ["-1", "1.5", "x", "0x10", " 1", "1" * 21, "१"])
def test_a_bad_seed_is_refused_at_once(sessions: Any, seed: str) -> None:
    sessions.file(NO_USE)
    result = sessions.run(f"--netfault-seed={seed}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--netfault-seed: *{seed}* is no seed: give a whole number, at least 0"])


def test_a_bad_seed_in_the_ini_file_is_refused_too(sessions: Any) -> None:
    sessions.file(NO_USE)
    sessions.pytester.makeini("[pytest]\nnetfault_seed = many\n")
    result = sessions.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: netfault_seed: 'many' is no seed: give a whole number, at least 0"])


@pytest.mark.parametrize("etcd", ["docker:", "http://127.0.0.1:2379", "127.0.0.1:many", " "])
@pytest.mark.parametrize("given_by", ["option", "ini"])
def test_an_etcd_that_cannot_be_is_refused_at_once(sessions: Any, etcd: str, given_by: str) -> None:
    sessions.file(NO_USE)
    option = f"--netfault-etcd={etcd}" if given_by == "option" else f"--override-ini=netfault_etcd={etcd}"
    result = sessions.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --netfault-etcd=*"])


def test_an_output_that_is_a_file_is_refused_at_once(sessions: Any) -> None:
    sessions.file(NO_USE)
    result = sessions.run("--netfault-output=test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --netfault-output=test_it.py is a file: name a directory*"])


def test_what_was_given_stands_in_the_header(sessions: Any) -> None:
    sessions.file(NO_USE)
    result = sessions.run("--netfault-seed=3", "--netfault-strict", "--netfault-etcd=docker")
    result.stdout.fnmatch_lines(["netfault: seed=3, etcd=docker, strict=True"])


def test_below_the_header_stands_the_seed_of_a_session_that_uses_it(sessions: Any) -> None:
    sessions.file(
        """
        import pytest

        @pytest.fixture
        def indirectly(netfault):
            return netfault

        def test_it(indirectly):
            print("seed is", indirectly.seed)
        """
    )
    result = sessions.run("-s")
    (seed,) = _seeds(result)
    result.stdout.fnmatch_lines(
        ["collected 1 item", f"netfault: seed {seed} (--netfault-seed={seed} repeats it)"], consecutive=True
    )
    result.stdout.fnmatch_lines([f"netfault: seed {seed}, no links, no faults"])


@pytest.mark.parametrize("arguments", [("-q",), ("--collect-only",)])
def test_quiet_is_quiet(sessions: Any, arguments: tuple[str, ...]) -> None:
    sessions.file("def test_it(netfault): pass")
    sessions.run(*arguments).stdout.no_fnmatch_line("netfault:*")


def test_strict_marks_and_strict_configuration_are_fine(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    sessions.run("--strict-markers", "--strict-config", "-W", "error").assert_outcomes(passed=1)
