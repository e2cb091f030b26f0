"""How a command ends, and what it says: the streams, the exit codes and the one line of a failure.

=====  =========================================================================================================
code   meaning, of every command
=====  =========================================================================================================
0      what was asked about is as it should be
1      a promise was broken: an update was lost. Nothing else ends with 1, least of all a crash
2      it could not be found out: wrong usage, something unreadable, something that raised. One line says what
3      nothing broke and nothing was proved
130    Ctrl-C
=====  =========================================================================================================

A reader of the output who leaves early (``| head``) changes nothing: the command goes on in silence, and its code is
the verdict. An output that cannot be written (a full disk) is code 2, for nobody has seen the verdict.

Rules of this file: only the standard library; what is shown goes through :mod:`.printable`, whatever the encoding of a
stream is; a stream that is closed swallows.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn, TextIO

from pytest_netfault.printable import error_words, printable, printable_lines

__all__ = ["INTERRUPTED", "CommandFailed", "Console", "Parser", "guarded", "parsed", "place", "whole_number"]

INTERRUPTED = 130
# A line of a message that quotes what somebody typed or a file holds.
_LONGEST_LINE = 1_000
# What somebody types as a number has fewer digits; Python refuses to convert thousands.
_MOST_DIGITS = 30


class CommandFailed(Exception):
    """What was asked for cannot be done; the message is one sentence."""


class CannotWrite(Exception):
    """The output cannot be written."""


class Console:
    """Where a command writes.

    Args:
        out: where its story goes; the standard output if None.
        err: where complaints go; standard error if None.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        # Python gives None for a stream that was closed when it started.
        self.out: TextIO = out or sys.stdout or io.StringIO()
        self.err: TextIO = err or sys.stderr or io.StringIO()
        self._reader_left = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person watches, so that a line may change."""
        try:
            return self.out.isatty()
        except ValueError:  # it was closed
            return False

    def line(self, text: str) -> None:
        """Say one line; a line break in it is escaped.

        Raises:
            CannotWrite: the output takes nothing more, and not because its reader has left.
        """
        self._write(printable(text))

    def lines(self, text: str) -> None:
        """Say several lines, or :class:`CannotWrite`."""
        self._write(printable_lines(text))

    def verbatim(self, text: str) -> None:
        """Write a text of ours that is safe as it is, or :class:`CannotWrite`: JSON of :func:`.json_text`, or help."""
        self._write(text)

    def complain(self, text: str) -> None:
        """Say one line on standard error, if it can be said there."""
        text = printable(text)
        if len(text) > _LONGEST_LINE:
            half = (_LONGEST_LINE - 3) // 2
            text = f"{text[:half]}...{text[-half:]}"
        with contextlib.suppress(OSError, ValueError):
            self.err.write(_encodable(text, self.err) + "\n")
            self.err.flush()

    def flush(self) -> None:
        """See that everything has been written, or :class:`CannotWrite`."""
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


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and whose help was written or is :class:`CannotWrite`."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            console = Console(file)
            console.verbatim(message.removesuffix("\n"))  # argparse may have put colours into it
            console.flush()

    def error(self, message: str) -> NoReturn:
        Console().complain(f"{self.prog}: {message} ({self.prog} --help says what it takes)")
        raise SystemExit(2)


def place(text: str) -> str:
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


def guarded(name: str, command: Callable[[Console], int], console: Console | None = None) -> int:
    """Run a command and return its exit code; whatever it raises is one line on standard error and code 2.

    Args:
        name: of the command, for that line.
        command: is given the console and returns 0, 1, 2 or 3.
        console: where it writes; the standard streams by default.
    """
    console = console or Console()
    with _ctrl_c() as pressed, _no_way_past(name, console):
        try:
            code = command(console)
            console.flush()
            return code
        except (CommandFailed, CannotWrite) as error:
            told = str(error)
        except KeyboardInterrupt as error:
            if pressed():
                console.complain(f"{name}: interrupted; everything it had started has ended")
                return INTERRUPTED
            told = f"something raised {error_words(error, place=True)}, and nobody pressed Ctrl-C"
        except MemoryError:
            told = "there is not enough memory for it"
        except (
            BaseException
        ) as error:  # a client under test may raise anything, and SystemExit(0) is no verdict
            told = f"it failed: {error_words(error, place=True)}"
    with contextlib.suppress(CannotWrite):
        console.flush()
    console.complain(f"{name}: {told}")
    return 2


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


@contextlib.contextmanager
def _no_way_past(name: str, console: Console) -> Iterator[None]:
    """While a command runs, ``os._exit`` of this process is code 2 as well.

    Clients with a watchdog of their own call it, from any thread. A process that was forked from this one may.
    """
    us, leave = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() == us:
            console.complain(f"{name}: something ended the process with os._exit({status!r:.20})")
            status = 2
        leave(status)

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = leave


@contextlib.contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Notes whether Ctrl-C was pressed: a client under test can raise ``KeyboardInterrupt`` as well."""
    pressed = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    answer = signal.getsignal(signal.SIGINT)
    if answer is signal.SIG_IGN:  # under nohup, or in a background job: nobody can press it
        yield pressed.is_set
        return
    if threading.current_thread() is not threading.main_thread() or answer is not signal.default_int_handler:
        yield lambda: True  # somebody else decides what it means, so that there is nothing to tell apart
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _encodable(text: str, stream: Any) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding, "replace")


def _discard(stream: Any) -> None:
    """Let what is still buffered go nowhere: Python would try again at its end, and exit with 120."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
