"""A folder for each failing test, to be collected as an artifact of a CI job.

Only what the same test wrote is deleted, and a file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_netfault.common.files import write_whole

__all__ = ["folder_name", "remove_files", "write_folder"]

# Leaves room for a suffix within the 143 bytes that encrypted file systems allow for a name.
_LONGEST = 100


def folder_name(nodeid: str, attempt: int = 1) -> str:
    """A readable name for a test's folder; two tests never have the same one.

    >>> folder_name("tests/test_a.py::test_b[x/y]")
    'tests-test_a.py-test_b-x-y-f85c6ad3'
    >>> folder_name("tests/test_a.py::test_b[x/y]", attempt=2)
    'tests-test_a.py-test_b-x-y-f85c6ad3-attempt2'
    """
    readable = re.sub(r"[^A-Za-z0-9_.]+", "-", nodeid).strip("-.")[:_LONGEST].rstrip("-.")
    digest = hashlib.sha256(nodeid.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    again = f"-attempt{attempt}" if attempt > 1 else ""
    return f"{readable}-{digest}{again}"


def write_folder(directory: Path, name: str, texts: Mapping[str, str]) -> Path:
    """Write texts as files into a folder of ``directory``, which is made if need be; return the folder.

    Raises:
        OSError: it cannot be written.
    """
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for file, text in texts.items():
            write_whole(folder / file, text)
    except OSError:
        remove_files(folder, ())  # an empty folder says that there is something
        raise
    return folder


def remove_files(folder: Path, files: Iterable[Path]) -> None:
    """Remove those of ``files`` that lie in ``folder``, and the folder if nothing else is in it."""
    for file in files:
        if file.parent == folder:
            file.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        pass  # it was never made, or holds something else
