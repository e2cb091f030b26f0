"""``netfault examples DIR``: the examples of the documentation as files to run and to change."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_netfault.cli.console import Console, Subparsers, path_argument
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.common.files import write_whole
from pytest_netfault.common.wording import counted

__all__ = ["add_parser", "examples_folder", "run"]

# What tools leave in a checkout, and what those leave who run the examples there.
_LEFTOVERS = ("__pycache__", "netfault-reports", "node_modules", "target")


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "examples",
        help="write the examples of the documentation into a folder, to run and to change",
        description="Writes the examples of the documentation into a folder, which is made if need be. A file that "
        "is there already is never overwritten.",
        epilog="Exit code: 0 they are there, 2 they could not be written. example: netfault examples examples",
    )
    parser.add_argument("folder", type=path_argument, metavar="DIR", help="where they are written")


def run(arguments: argparse.Namespace) -> int:
    """Write the examples; return the exit code."""
    source, target = examples_folder(), Path(arguments.folder)
    texts = {
        path.relative_to(source): path.read_text(encoding="utf-8")
        for path in sorted(source.rglob("*"))
        if path.is_file() and _is_example(path.relative_to(source))
    }
    for name in texts:
        if (target / name).exists():
            raise CommandFailed(f"{target / name} is there already: name a folder that does not exist yet")
    try:
        for name, text in texts.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(target / name, text)
    except OSError as error:
        raise CommandFailed(
            f"the examples cannot be written to {target}: {error.strerror or error}"
        ) from error
    console = Console()
    console.line(
        f"{counted(len(texts), 'file')} in {target}. README.md there says what each of them shows. To begin:"
    )
    console.line(f"    cd {target}")
    console.line("    pytest first_bug.py")
    return 0


def examples_folder() -> Path:
    """Where the examples are: in the installed package, or in the checkout of an editable installation.

    Raises:
        CommandFailed: they are not part of this installation.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "_examples", package.parent / "docs" / "examples"):
        if folder.is_dir():
            return folder
    raise CommandFailed(
        "the examples are not part of this installation: install the wheel, or from a checkout"
    )


def _is_example(path: Path) -> bool:
    return not any(part.startswith(".") or part in _LEFTOVERS for part in path.parts)
