from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.servers import owner as owner_module
from pytest_netfault.servers.owner import Owner, read_owner, this_process


def test_we_are_alive() -> None:
    assert not this_process().is_dead()


def test_an_owner_is_alive_until_it_ends(run_script: Callable[..., Any]) -> None:
    script = run_script(
        "import sys; from pytest_netfault.servers.owner import this_process;"
        "print(this_process(), flush=True); sys.stdin.read()"
    )
    owner = read_owner(script.line())
    assert owner is not None
    assert owner.pid == script.process.pid
    assert not owner.is_dead()
    os.kill(owner.pid, signal.SIGKILL)
    script.wait()
    assert owner.is_dead()


def test_a_number_that_was_given_again_is_another_owner() -> None:
    assert replace(this_process(), started="1").is_dead()


@pytest.mark.skipif(not this_process().machine, reason="this machine has no /etc/machine-id")
def test_an_owner_from_before_a_reboot_is_dead() -> None:
    assert replace(this_process(), boot="before").is_dead()


@pytest.mark.parametrize(
    "doubt",
    [
        {"machine": "elsewhere"},
        {"machine": ""},
        {"boot": ""},
        {"space": "pid:[1]"},
        {"space": ""},
        {"started": ""},
    ],
)
def test_a_doubt_means_alive(doubt: dict[str, str]) -> None:
    assert not replace(this_process(), pid=2**22 + 1, **doubt).is_dead()


def test_without_proc_nobody_is_called_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    here = this_process()
    monkeypatch.setattr(owner_module, "_started", lambda _pid: None)
    assert not here.is_dead()


@given(st.builds(Owner, st.text(), st.text(), st.text(), st.integers(), st.text()))
def test_an_owner_is_read_back(owner: Owner) -> None:
    assert read_owner(str(owner)) == owner


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"pid": 1}',
        '{"machine": "", "boot": "", "space": "", "pid": "1", "started": ""}',
        "x" * 9,
    ],
)
def test_what_is_no_owner_is_none(text: str) -> None:
    assert read_owner(text) is None
