"""Options and ini values: which goes first, what they take, and where they are shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.common.files import why_no_file, why_no_folder

PRINTS_ITS_SEED = """
    def test_it(netfault):
        print("seed is", netfault.seed)
"""
NO_USE = "def test_it(): pass"


def _seeds(result: pytest.RunResult) -> set[str]:
    return {line.split()[-1] for line in result.outlines if "seed is" in line}


@pytest.mark.slow
def test_the_seed_differs_from_session_to_session(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    assert _seeds(sessions.run("-s")) != _seeds(sessions.run("-s"))


@pytest.mark.slow
def test_the_option_goes_before_the_ini_value(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    sessions.pytester.makeini("[pytest]\nnetfault_seed = 5\n")
    assert _seeds(sessions.run("-s")) == {"5"}
    assert _seeds(sessions.run("-s", "--netfault-seed=0")) == {"0"}
    assert _seeds(sessions.run("-s", "-o", "netfault_seed=6")) == {"6"}


@pytest.mark.slow
def test_ini_values_may_be_toml(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    sessions.pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nnetfault_seed = "5"\nnetfault_strict = true\n'
    )
    result = sessions.run("-s")
    assert _seeds(result) == {"5"}
    result.stdout.fnmatch_lines(["netfault: seed=5, strict=True"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["-1", "1.5", "x", "0x10", " 1", "1" * 21, "१"])
def test_a_bad_seed_is_refused_at_once(sessions: Any, seed: str) -> None:
    sessions.file(NO_USE)
    result = sessions.run(f"--netfault-seed={seed}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--netfault-seed: *{seed}* is no seed: give a whole number, at least 0"])


@pytest.mark.slow
def test_a_bad_seed_in_the_ini_file_is_refused_too(sessions: Any) -> None:
    sessions.file(NO_USE)
    sessions.pytester.makeini("[pytest]\nnetfault_seed = many\n")
    result = sessions.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: netfault_seed: 'many' is no seed: give a whole number, at least 0"])


@pytest.mark.slow
@pytest.mark.parametrize("etcd", ["docker:", "http://127.0.0.1:2379", "127.0.0.1:many", " "])
@pytest.mark.parametrize("given_by", ["option", "ini"])
def test_an_etcd_that_cannot_be_is_refused_at_once(sessions: Any, etcd: str, given_by: str) -> None:
    sessions.file(NO_USE)
    option = f"--netfault-etcd={etcd}" if given_by == "option" else f"--override-ini=netfault_etcd={etcd}"
    result = sessions.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --netfault-etcd=*"])


@pytest.mark.slow
def test_an_output_that_is_a_file_is_refused_at_once(sessions: Any) -> None:
    sessions.file(NO_USE)
    result = sessions.run("--netfault-output=test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --netfault-output=test_it.py is a file: name a directory*"])


@pytest.mark.slow
def test_what_was_given_stands_in_the_header(sessions: Any) -> None:
    sessions.file(NO_USE)
    result = sessions.run("--netfault-seed=3", "--netfault-strict", "--netfault-etcd=docker")
    result.stdout.fnmatch_lines(["netfault: seed=3, etcd=docker, strict=True"])


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("-q",), ("--collect-only",)])
def test_quiet_is_quiet(sessions: Any, arguments: tuple[str, ...]) -> None:
    sessions.file("def test_it(netfault): pass")
    sessions.run(*arguments).stdout.no_fnmatch_line("netfault:*")


@pytest.mark.slow
def test_strict_marks_and_strict_configuration_are_fine(sessions: Any) -> None:
    sessions.file(PRINTS_ITS_SEED)
    sessions.run("--strict-markers", "--strict-config", "-W", "error").assert_outcomes(passed=1)


# -- paths that cannot be written to ------------------------------------------------------------------------------

LONG = "n" * 5_000


@pytest.mark.slow
@pytest.mark.parametrize("given_by", ["option", "ini"])
@pytest.mark.parametrize("option", ["output", "summary"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (LONG, "cannot be used: *too long"),
        (f"new/{'n' * 256}/new", "cannot be used: *too long"),
        ("n/" * 2_000, "cannot be used: *too long"),
        ("test_it.py/below", "cannot be used: */test_it.py is a file"),
        ("loop/below", "cannot be used: Too many levels of symbolic links"),
        ("gone/below", "cannot be used: */gone is a symbolic link to nothing"),
    ],
    ids=["long name", "long part", "long path", "below a file", "loop", "dangling"],
)
def test_a_path_that_cannot_be_written_to_is_refused_at_once(
    sessions: Any, given_by: str, option: str, path: str, reason: str
) -> None:
    sessions.file("def test_it(netfault): assert False")
    (sessions.pytester.path / "loop").symlink_to("loop")
    (sessions.pytester.path / "gone").symlink_to("nowhere")
    given = (
        f"--netfault-{option}={path}" if given_by == "option" else f"--override-ini=netfault_{option}={path}"
    )
    result = sessions.run(given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --netfault-{option}=* {reason}: name a *, it is made if need be"])
    assert len(result.errlines) <= 2  # pytest leaves an empty line


@pytest.mark.slow
def test_a_summary_that_is_a_directory_is_refused_at_once(sessions: Any) -> None:
    sessions.file(NO_USE)
    result = sessions.run("--netfault-summary=.")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --netfault-summary=* is a directory: name a file, it is made if need be"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", [LONG, "/dev/null/below", "/dev/full"])
def test_the_summary_of_a_ci_system_that_cannot_be_written_is_a_word_at_the_end(
    sessions: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", path)
    sessions.file("def test_it(netfault, echo): netfault.forward(echo)")
    result = sessions.run("--netfault-summary=github")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["netfault: the summary was not written: *"])


@pytest.mark.slow
def test_a_summary_that_is_a_pipe_without_a_reader_hangs_nobody(sessions: Any) -> None:
    os.mkfifo(sessions.pytester.path / "pipe")
    sessions.file("def test_it(netfault, echo): netfault.forward(echo)")
    result = sessions.run("--netfault-summary=pipe")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["netfault: the summary was not written: *No such device or address*"])


@pytest.mark.slow
def test_nothing_is_made_before_there_is_something_to_write(sessions: Any) -> None:
    sessions.file(NO_USE)
    result = sessions.run("--netfault-output=new/output", "--netfault-summary=fresh/summary.md")
    assert result.ret == pytest.ExitCode.OK
    assert not (sessions.pytester.path / "new").exists()
    assert not (sessions.pytester.path / "fresh").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ini", "told"),
    [
        ("netfault_strict = maybe", "ERROR: netfault_strict: *maybe*"),
        (f"netfault_seed = {'9' * 5_000}", "ERROR: netfault_seed: * is no seed: *"),
        ("netfault_artifacts = never", "ERROR: netfault_artifacts: 'never' is none of *"),
        ("netfault_keep = maybe", "ERROR: netfault_keep: 'maybe' is none of *"),
        ("netfault_etcd = \u00e9\u00e9..:1", "ERROR: --netfault-etcd=* cannot be used: *"),
    ],
)
def test_an_ini_value_that_cannot_be_meant_is_a_usage_error(sessions: Any, ini: str, told: str) -> None:
    sessions.file(NO_USE)
    (sessions.pytester.path / "pytest.ini").write_text(f"[pytest]\n{ini}\n", encoding="utf-8")
    result = sessions.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])


@pytest.mark.slow
def test_an_etcd_whose_path_is_too_long_is_one_sentence(sessions: Any) -> None:
    sessions.file("def test_it(etcd_server): pass")
    result = sessions.run(f"--netfault-etcd=/{LONG}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ServerError: --netfault-etcd=*cannot be used: File name too long*"])


def test_the_reasons_against_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs this may be allowed everything, so that what the system says is put in its mouth."""
    closed = tmp_path / "closed"
    closed.mkdir()
    file = tmp_path / "file"
    file.touch()
    assert (why_no_folder(closed / "new"), why_no_file(closed / "new"), why_no_file(file)) == ("", "", "")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert why_no_folder(closed / "new") == why_no_file(closed / "new") == f"{closed} cannot be written to"
    assert why_no_file(file) == "it cannot be written to"
    monkeypatch.undo()
    stat = Path.stat

    def refuse(path: Path, **how: Any) -> os.stat_result:
        if closed in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", refuse)
    assert why_no_folder(closed / "new" / "er") == why_no_file(closed / "new" / "er") == "Permission denied"
    assert "null" in why_no_folder(Path("a\0b"))
    assert "null" in why_no_file(Path("a\0b"))
