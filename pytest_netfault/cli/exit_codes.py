"""How a command ends: every way out is one of these codes, and means what the help says.

=====  =========================================================================================================
code   meaning, of every command
=====  =========================================================================================================
0      what was asked about is as it should be
1      a promise was broken: an update was lost. Nothing else ends with 1, least of all a crash
2      it could not be found out: wrong usage, something unreadable, something that raised. One line says what
3      nothing broke and nothing was proved
130    Ctrl-C
=====  =========================================================================================================

Rules of this file: only the standard library; what is changed in the process (who answers Ctrl-C, ``os._exit``) is
changed back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from pytest_netfault.cli.console import CannotWrite, Console
from pytest_netfault.common.printable import error_words

__all__ = ["INTERRUPTED", "CommandFailed", "guarded"]

INTERRUPTED = 130


class CommandFailed(Exception):
    """What was asked for cannot be done; the message is one sentence."""


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
        except BaseException as error:
            # A client under test may raise anything, and SystemExit(0) is no verdict.
            told = f"it failed: {error_words(error, place=True)}"
    with contextlib.suppress(CannotWrite):
        console.flush()
    console.complain(f"{name}: {told}")
    return 2


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
