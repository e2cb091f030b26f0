"""``netfault examples``: what it writes is what the documentation shows, and it runs where it was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_netfault.cli import main
from pytest_netfault.cli.examples import examples_folder

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_they_are_the_files_of_the_documentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examples", str(tmp_path / "a" / "b")]) == 0
    written = files(tmp_path / "a" / "b")
    assert {"README.md", "first_bug.py", "stores/naive_etcd3.py", "languages/go/go.mod"} <= set(written)
    assert written == files(examples_folder())
    shown = capsys.readouterr().out
    assert f"{len(written)} files in " in shown
    assert shown.endswith(f"    cd {tmp_path / 'a' / 'b'}\n    pytest first_bug.py\n")


def test_leftovers_are_no_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "package" / "_examples"
    for name in ("test_a.py", "__pycache__/test_a.pyc", ".hypothesis/b", "netfault-reports/c/failure.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("")
    monkeypatch.setattr("pytest_netfault.cli.examples.examples_folder", lambda: source)
    assert main(["examples", str(tmp_path / "there")]) == 0
    assert set(files(tmp_path / "there")) == {"test_a.py"}


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "first_bug.py").write_text("mine")
    assert main(["examples", str(tmp_path)]) == 2
    assert files(tmp_path) == {"first_bug.py": "mine"}
    assert capsys.readouterr().err == (
        f"netfault examples: {tmp_path / 'first_bug.py'} is there already: "
        "name a folder that does not exist yet\n"
    )


def test_a_folder_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["examples", str(tmp_path / "file" / "below")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the examples cannot be written to" in line


def test_the_page_beside_them_names_each() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        if path.name not in ("README.md", "__pycache__") and not path.name.startswith("."):
            assert f"`{name}`" in page, f"docs/examples/README.md does not name {name}"


@pytest.mark.slow
def test_they_run_where_they_were_written(tmp_path: Path) -> None:
    assert main(["examples", str(tmp_path / "here")]) == 0
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:randomly"),
            *(
                "-p",
                "no:asyncio",
                "test_without_etcd.py",
                "test_session_links.py",
                "test_unittest.py",
                "conditions",
            ),
        ],
        cwd=tmp_path / "here",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout
