"""What a schedule prints can be pasted: its imports are explicit, complete, and what linters want."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import pytest_netfault
from pytest_netfault.faults import FAULTS, Blackhole, Cut, Delay, Reset, Sever
from pytest_netfault.proxy import CustomFault, Place, Stage
from pytest_netfault.schedules import Break, Heal, Schedule, Subscribe, Write
from pytest_netfault.schedules.schedule import imports_for, wrapped
from pytest_netfault.schedules.steps import STEPS

SHORT = Schedule([Subscribe(), Break(Sever()), Write("a")])
LONG = Schedule(
    [Subscribe(), *(Break(fault) for fault in (Cut(7), Delay(1), Reset(), Sever(), Blackhole())), Heal()]
)


@dataclass(frozen=True, repr=False)
class Slow(CustomFault):
    """A fault that somebody else wrote."""

    def stage(self, place: Place) -> Stage | None:
        return None


def test_every_step_and_every_fault_can_be_imported_from_the_face() -> None:
    names = {kind.__name__ for kind in (*STEPS, *FAULTS, Schedule)}
    assert names <= set(pytest_netfault.__all__)


@pytest.mark.parametrize("schedule", [SHORT, LONG], ids=["one line", "brackets"])
@pytest.mark.parametrize("packed", [False, True], ids=["formatted", "packed"])
def test_the_imports_are_enough(schedule: Schedule, packed: bool) -> None:
    names: dict[str, object] = {}
    exec(f"{imports_for(schedule, width=80, packed=packed)}\nagain = {wrapped(schedule)}", names)
    assert names["again"] == schedule


@pytest.mark.parametrize("schedule", [SHORT, LONG], ids=["one line", "brackets"])
def test_a_linter_has_nothing_to_say(schedule: Schedule, tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed")
    pasted = tmp_path / "test_pasted.py"
    pasted.write_text(
        f"{imports_for(schedule, 'verify')}\n\n\ndef test_it(open_store, server):\n"
        f"    verify.replay(open_store, server, {schedule})\n"
    )
    done = subprocess.run(
        [ruff, "check", "--isolated", "--no-cache", "--select", "F,I,E7,E9", pasted],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_a_fault_of_somebody_else_is_imported_from_where_it_lives() -> None:
    text = imports_for(Schedule([Subscribe(), Break(Slow())]))
    assert text.splitlines() == [
        "from pytest_netfault import Break, Schedule, Subscribe",
        f"from {__name__} import Slow",
    ]
