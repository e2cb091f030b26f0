"""Files: reading one that may be anything, finding those below a folder, and writing one atomically.

Reading always ends, whatever the path names; if it fails, one sentence says why. A file that is written appears
complete or not at all, with the mode that the umask gives to any new file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pytest_netfault.common.printable import printable

__all__ = [
    "LARGEST_FILE",
    "CannotRead",
    "append_text",
    "files_below",
    "is_folder",
    "read_text",
    "why_no_file",
    "why_no_folder",
    "why_refused",
    "write_whole",
]

# Far above what a proof writes (some kB) and what the checkers are measured with (a million changes: some 100 MB). More
# is almost certainly a mistake, and would take ten times as much memory.
LARGEST_FILE = 1 << 29
# A pipe that is silent for so long has no writer; one that goes on for a minute does not end.
_PATIENCE_SECONDS = 5.0
_PIPE_SECONDS = 60.0
_CHUNK = 1 << 20
# What is written below a folder has a name of its own, and one of the test.
_ROOM_FOR_NAMES = 300
# Of a path in a message.
_LONGEST_PATH = 200
_IS_FILE = "it is a file"
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class CannotRead(Exception):
    """A file cannot be read as text.

    Attributes:
        reason: the sentence without the name of the file.
        line: the line that is not text, counted from 1, where that is why.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def read_text(path: Path) -> str:
    """The text of a UTF-8 file or of a pipe with a writer; a byte order mark is left out.

    Raises:
        CannotRead: it is not there, is neither a file nor a pipe, does not end, or is not UTF-8.
    """
    try:
        data = _read_bytes(path)
    except OSError as error:
        raise CannotRead(f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a null byte in its name
        raise CannotRead(f"cannot be read: {error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CannotRead(f"not UTF-8: byte 0x{error.object[error.start]:02x}", line) from None


def _read_bytes(path: Path) -> bytes | bytearray:
    # Without O_NONBLOCK, opening a pipe blocks until it has a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        for is_kind, name in _KINDS:
            if is_kind(status.st_mode):
                raise CannotRead(f"cannot be read: it is {name}, not a file")
        if status.st_size > LARGEST_FILE:
            raise _too_large()
        data = bytearray()
        waits = not stat.S_ISREG(status.st_mode)
        until = time.monotonic() + _PIPE_SECONDS
        while chunk := _next_chunk(handle, wait=waits):
            data += chunk
            if len(data) > LARGEST_FILE:
                raise _too_large()
            if waits and time.monotonic() > until:
                raise CannotRead(f"cannot be read: it does not end within {_PIPE_SECONDS:g} s")
        return data
    finally:
        os.close(handle)


def _next_chunk(handle: int, *, wait: bool) -> bytes:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        if wait:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if not poll.poll(max(until - time.monotonic(), 0) * 1000):
                raise CannotRead(f"cannot be read: nothing was written to it for {_PATIENCE_SECONDS:g} s")
        try:
            return os.read(handle, _CHUNK)
        except BlockingIOError:
            wait = True


def _too_large() -> CannotRead:
    return CannotRead(f"cannot be read: it does not end within {LARGEST_FILE >> 20} MiB")


def is_folder(path: Path) -> bool:
    """Whether this is a folder; False where that cannot be determined, so that reading it says why."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def files_below(folder: Path, *patterns: str) -> Iterator[Path]:
    """The files anywhere below a folder whose names match a pattern, sorted; hidden ones are left out.

    Raises:
        CannotRead: the folder, or one in it, cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise CannotRead(f"{error.filename or folder}: cannot be read: {error.strerror or error}")

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and any(map(path.match, patterns)) and _is_file(path):
                yield path


def _is_file(path: Path) -> bool:
    """Whether this is a regular file. What cannot be examined counts as one, so that reading it says why."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def why_no_folder(path: Path) -> str:
    """Why files cannot be written to this folder, which is created if need be; empty if they probably can.

    Nothing is created here, so that a full disk, for example, is only noticed later.

    >>> why_no_folder(Path("/dev/null/below")), why_no_folder(Path("/tmp"))
    ('/dev/null is a file', '')
    """
    try:
        if len(os.fsencode(path.absolute())) + _ROOM_FOR_NAMES > os.pathconf("/", "PC_PATH_MAX"):
            return "its name is too long"
        there = _nearest(path)
        if not there.is_dir():
            return _IS_FILE if there == path else f"{there} is a file"
        if any(len(os.fsencode(one)) > os.pathconf(there, "PC_NAME_MAX") for one in path.parts):
            return "its name is too long"
        if not os.access(there, os.W_OK | os.X_OK):
            return f"{there} cannot be written to"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # a null byte
        return str(error)
    return ""


def why_no_file(path: Path) -> str:
    """Why this file, which is created if need be, cannot be written to; empty if it probably can."""
    try:
        if "\0" in str(path):
            return "its name has a null character"
        if path.is_dir():
            return "it is a directory"
        if path.exists():
            return "" if os.access(path, os.W_OK) else "it cannot be written to"
        if len(os.fsencode(path.name)) > os.pathconf("/", "PC_NAME_MAX"):
            return "its name is too long"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    reason = why_no_folder(path.parent)
    return f"{path.parent} is a file" if reason == _IS_FILE else reason


def _nearest(path: Path) -> Path:
    """The path if it exists, or its nearest parent that does, be it a folder or a file."""
    for one in (path, *path.parents):
        try:
            one.stat()
        except (FileNotFoundError, NotADirectoryError):
            if one.is_symlink():
                raise OSError(f"{one} is a symbolic link to nothing") from None
            continue
        return one
    return path


def why_refused(
    text: str, path: Path, why_not: Callable[[Path], str], wanted: Literal["a file", "a directory"]
) -> str:
    """Why a path that somebody gave cannot be written to, to follow what it was given for; empty if it probably can.

    Args:
        text: what was given.
        path: what it stands for.
        why_not: :func:`why_no_file` or :func:`why_no_folder`.
        wanted: what it should name.

    >>> why_refused("/dev/null", Path("/dev/null"), why_no_folder, "a directory")
    '/dev/null is a file: name a directory, it is made if need be'
    """
    reason = why_not(path)
    if not reason:
        return ""
    shown = text if len(text) <= _LONGEST_PATH else f"{text[:40]}...{text[-20:]}"
    # "it is a file" is about what was given, anything else about what stands in its way.
    words = f" {reason.removeprefix('it ')}" if reason.startswith("it ") else f" cannot be used: {reason}"
    return printable(f"{shown}{words}: name {wanted}, it is made if need be")


def append_text(path: Path, text: str) -> None:
    """Append to a file that others may append to as well, in one piece; it and its folder are made if need be.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without O_NONBLOCK, opening a pipe that nobody reads would wait for ever.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags, 0o666)
    os.set_blocking(handle, True)
    with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it appears complete or not at all; an existing one is replaced.

    Half a surrogate pair, which UTF-8 does not have, is written as ``\\udc80``: in JSON that is its escape.

    Raises:
        OSError: it cannot be written; nothing of it stays.
    """
    unfinished = path.with_name(f".netfault-{os.getpid()}-{secrets.token_hex(4)}")
    # Not tempfile: its files are for their owner only, and whoever collects a job's files may be another user.
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
