"""A command is one module and its name in one tuple: this one is added from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_netfault.cli import commands, main

MODULE = """
from pytest_netfault.cli.exit_codes import CommandFailed

def add_parser(commands):
    parser = commands.add_parser("greet_from_outside", help="greet somebody")
    parser.add_argument("name")

def run(arguments):
    if not arguments.name.isidentifier():
        raise CommandFailed(f"{arguments.name!r} is no name")
    print(f"hello, {arguments.name}")
    return 3
"""


@pytest.fixture(autouse=True)
def _added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greet_from_outside.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(commands, "COMMANDS", (*commands.COMMANDS, "greet_from_outside"))


def test_it_is_run_and_its_exit_code_is_that_of_netfault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet_from_outside", "world"]) == 3
    assert capsys.readouterr().out == "hello, world\n"


def test_its_failure_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet_from_outside", "no name"]) == 2
    assert capsys.readouterr().err == "netfault greet_from_outside: 'no name' is no name\n"


def test_the_help_lists_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--help"])
    assert "greet_from_outside" in capsys.readouterr().out
    assert main([]) == 2
    assert capsys.readouterr().err.endswith(
        "name a COMMAND: demo, examples, prove, judge, replay, merge, export, index, serve or greet_from_outside\n"
    )


def test_no_other_command_is_imported_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest_netfault.cli.replay", None)
    assert main(["greet_from_outside", "world"]) == 3
