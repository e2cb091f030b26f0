"""The command line: what it says to a newcomer, and what it says when something is missing."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_netfault.cli import demo, main
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.proof import losses

COMMANDS = ["demo", "examples", "prove", "judge", "replay", "merge", "export", "index", "serve"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_netfault", *arguments], capture_output=True, text=True, timeout=120
    )


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"pytest-netfault {version('pytest-netfault')}"


def test_without_a_command_it_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert set(re.findall(r"^    ([a-z]+) ", shown, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_each_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        sys.exit(main([*command, "--help"]))
    shown = capsys.readouterr().out
    assert "example" in shown
    assert " ".join(["netfault", *command]) in " ".join(shown.partition("example")[2].split())


def test_the_page_of_commands_is_complete() -> None:
    commands = (Path(__file__).parents[2] / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^    netfault ([a-z]+) ", commands, re.MULTILINE) == COMMANDS
    assert re.findall(r"^\| `([a-z]+)` \|", commands, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("wrong", [["--examples", "0"], ["--examples", "many"], ["--seed", "x"]])
def test_a_wrong_number_is_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", *wrong])
    assert ended.value.code == 2
    assert wrong[1] in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("/no/such/etcd", "/no/such/etcd"),
        ("host:port:too:many", "host:port:too:many"),
    ],
)
def test_an_etcd_that_is_not_there_is_one_sentence(where: str, told: str) -> None:
    ended = run("demo", "--etcd", where)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "--netfault-etcd" not in ended.stderr, "the option of the demo is --etcd"


def test_no_etcd_at_all_names_every_way_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_netfault.servers.errors import ServerNotFound
    from pytest_netfault.servers.etcd import find

    def nothing(_option: str | None = None, *, named: str) -> None:
        assert named == "--etcd="
        raise ServerNotFound("no etcd was found: one way,\nor another")

    monkeypatch.setattr(find, "find_etcd", nothing)
    with pytest.raises(CommandFailed, match=r"^no etcd was found: one way, or another$"):
        demo.run_demo(out=io.StringIO())


def test_an_example_that_is_not_installed_is_one_sentence() -> None:
    with pytest.raises(CommandFailed, match=r"nobody\.py is not part of this installation"):
        demo.example_store("nobody")


@pytest.mark.slow
def test_the_demo_catches_the_loop_and_proves_the_wrapper() -> None:
    out = io.StringIO()
    assert demo.run_demo(seed=5, examples=5, out=out) == 0, out.getvalue()
    story = out.getvalue()
    assert "An update was lost" in story
    assert "verify.replay(open_store, server, schedule" in story
    shown = re.search(r"\((\S*naive_etcd3\.py)\)", story)
    assert shown is not None
    assert Path(shown[1]).is_file()
    assert "Kept: nothing lost in 5 examples, 0 inconclusive" in story
    assert logging.getLogger("runtime_config").level == logging.NOTSET


@pytest.mark.slow
def test_a_wrapper_that_loses_makes_the_demo_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    naive = demo.example_store("naive_etcd3")
    monkeypatch.setattr(demo, "example_store", lambda _name: naive)
    monkeypatch.setattr(losses, "SHRINK_SECONDS", 1.0)  # how small it gets is not what is tested
    out = io.StringIO()
    assert demo.run_demo(seed=5, examples=5, out=out) == 1
    assert "the wrapper did not keep its promise" in out.getvalue()
