"""The standard streams and the arguments of a command.

A reader of the output who leaves early (``| head``) changes nothing: the command goes on without output, and its exit
code is the verdict. An output that cannot be written (a full disk) raises :class:`CannotWrite`, because nobody has seen
the verdict. Everything that is shown is made printable first; output to a closed stream is discarded.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TextIO, TypeAlias

from pytest_netfault.common.printable import printable, printable_lines
from pytest_netfault.report.colour import coloured, wanted

__all__ = [
    "CannotWrite",
    "Console",
    "Parser",
    "Subparsers",
    "parsed",
    "path_argument",
    "seconds",
    "whole_number",
]

# The longest line of a message that quotes an argument or a file.
_LONGEST_LINE = 1_000
# Real arguments have fewer digits; Python refuses to convert thousands.
_MOST_DIGITS = 30


class CannotWrite(Exception):
    """The output cannot be written."""


class Console:
    """The output of a command.

    Args:
        out: for results; the standard output if None.
        err: for errors; standard error if None.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        # Python gives None for a stream that was closed when it started.
        self.out: TextIO = out or sys.stdout or io.StringIO()
        self.err: TextIO = err or sys.stderr or io.StringIO()
        self._reader_left = False

    @property
    def is_terminal(self) -> bool:
        """Whether the output is a terminal, so that a line may be rewritten."""
        try:
            return self.out.isatty()
        except ValueError:  # it was closed
            return False

    def line(self, text: str) -> None:
        """Write one line; a line break in it is escaped.

        Raises:
            CannotWrite: the output takes nothing more, and not because its reader has left.
        """
        self._write(printable(text))

    def lines(self, text: str) -> None:
        """Write several lines, or raise :class:`CannotWrite`."""
        self._write(printable_lines(text))

    def story(self, text: str) -> None:
        """Write several lines with colours, where the output has them; or raise :class:`CannotWrite`."""
        text = printable_lines(text)
        self._write(coloured(text) if wanted(os.environ, terminal=self.is_terminal) else text)

    def verbatim(self, text: str) -> None:
        """Write a text that is printable already (JSON of :func:`.json_text`, help), or raise :class:`CannotWrite`."""
        self._write(text)

    def complain(self, text: str) -> None:
        """Write one line to standard error; what cannot be written there is discarded."""
        text = printable(text)
        if len(text) > _LONGEST_LINE:
            half = (_LONGEST_LINE - 3) // 2
            text = f"{text[:half]}...{text[-half:]}"
        with contextlib.suppress(OSError, ValueError):
            self.err.write(_encodable(text, self.err) + "\n")
            self.err.flush()

    def flush(self) -> None:
        """Write what is buffered, or raise :class:`CannotWrite`."""
        self._write(None)

    def _write(self, text: str | None) -> None:
        if self._reader_left:
            return
        try:
            if text is not None:
                self.out.write(_encodable(text, self.out) + "\n")
            if text is None or self.is_terminal:
                self.out.flush()
        except BrokenPipeError:
            self._reader_left = True
            _discard(self.out)
        except (OSError, ValueError) as error:
            _discard(self.out)
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotWrite(f"the output cannot be written: {reason}") from error


#: What ``add_subparsers`` gives.
Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong argument in one line; help that cannot be written is :class:`CannotWrite`."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            console = Console(file)
            console.verbatim(message.removesuffix("\n"))  # argparse may have put colours into it
            console.flush()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        # Otherwise what is left over of a command's arguments would be reported by the parser of all commands.
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        Console().complain(f"{self.prog}: {message} ({self.prog} --help says what it takes)")
        raise SystemExit(2)


def path_argument(text: str) -> str:
    """A type for an argument that names a file or a folder: an empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must name a file or a folder, not ''")
    return text


def whole_number(least: int | None = None) -> Callable[[str], int]:
    """A type for an argument that is a whole number of a reasonable size."""

    def read(text: str) -> int:
        try:
            number = int(text) if len(text) <= _MOST_DIGITS else None
        except ValueError:
            number = None
        if number is None:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at most {_MOST_DIGITS} digits, not {text[:60]!r}"
            )
        if least is not None and number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, not {number}")
        return number

    return read


def seconds(text: str) -> float:
    """A type for an argument that is a time in seconds."""
    try:
        number = float(text) if len(text) <= _MOST_DIGITS else math.nan
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"must be more than 0 seconds and finite, not {text[:60]!r}")
    return number


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the arguments say.

    Raises:
        SystemExit: help was asked for (0; it was written), or they are wrong (2).
    """
    try:
        return parser.parse_args(arguments)
    except CannotWrite as error:
        Console().complain(f"{parser.prog}: {error}")
        raise SystemExit(2) from error
    except SystemExit as ended:
        raise SystemExit(2 if ended.code else 0) from None


def _encodable(text: str, stream: Any) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding, "replace")


def _discard(stream: Any) -> None:
    """Discard what is still buffered: Python would try to write it again at its end, and exit with 120."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
