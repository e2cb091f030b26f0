"""The exit codes of every command.

=====  =========================================================================================================
code   meaning, of every command
=====  =========================================================================================================
0      the promise was kept
1      a promise was broken: an update was lost. Nothing else ends with 1, least of all a crash
2      it could not be found out: wrong usage, something unreadable, an exception. One line says why
3      nothing broke and nothing was proved
130    Ctrl-C
=====  =========================================================================================================

What is replaced in the process meanwhile (the handler of SIGINT, ``os._exit``) is restored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from pytest_netfault.checks.verdict import VerdictName
from pytest_netfault.cli.console import CannotWrite, Console
from pytest_netfault.common.printable import error_words

__all__ = ["EXIT_CODES", "INTERRUPTED", "CommandFailed", "guarded"]

# The worst first, for commands that judge several things. "skipped" has none: nothing was to be judged.
EXIT_CODES: dict[VerdictName, int] = {
    "unreadable": 2,
    "unfinished": 2,
    "broken": 1,
    "inconclusive": 3,
    "kept": 0,
}
INTERRUPTED = 130


class CommandFailed(Exception):
    """A command cannot do what was asked for; the message is one sentence. Exit code 2."""


def guarded(name: str, command: Callable[[], int]) -> int:
    """Run a command and return its exit code; whatever it raises becomes one line on standard error and code 2.

    Args:
        name: the name of the command, for that line.
        command: does it, and returns 0, 1, 2 or 3.
    """
    console = Console()
    with _ctrl_c() as pressed, _no_way_past(name, console):
        try:
            code = command()
            console.flush()
            return code
        except (CommandFailed, CannotWrite) as error:
            reason = str(error)
        except KeyboardInterrupt as error:
            if pressed():
                console.complain(f"{name}: interrupted; everything it had started has ended")
                return INTERRUPTED
            reason = f"something raised {error_words(error, place=True)}, and nobody pressed Ctrl-C"
        except MemoryError:
            reason = "there is not enough memory for it"
        except BaseException as error:
            # A client under test may raise anything, and SystemExit(0) is no verdict.
            reason = f"it failed: {error_words(error, place=True)}"
    with contextlib.suppress(CannotWrite):
        console.flush()
    console.complain(f"{name}: {reason}")
    return 2


@contextlib.contextmanager
def _no_way_past(name: str, console: Console) -> Iterator[None]:
    """While a command runs, ``os._exit`` ends this process with code 2 as well.

    Clients with a watchdog of their own call it, from any thread. In a forked process it is left as it is.
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
    if answer is signal.SIG_IGN:  # under nohup, or in a background job: it is ignored
        yield pressed.is_set
        return
    if threading.current_thread() is not threading.main_thread() or answer is not signal.default_int_handler:
        yield lambda: True  # it is handled elsewhere, so that every KeyboardInterrupt counts as Ctrl-C
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
