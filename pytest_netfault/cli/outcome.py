"""The outcome of a proof that a command runs, as a value, and the exit code for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pytest_netfault import verify
from pytest_netfault.cli.exit_codes import EXIT_CODES, CommandFailed
from pytest_netfault.common.printable import error_words

__all__ = ["Outcome", "exit_code", "outcome_of"]

Outcome: TypeAlias = verify.Report | verify.UpdateLost | verify.ProvedNothing


def outcome_of(prove: Callable[[], verify.Report]) -> Outcome:
    """Run a proof; what it says of the client is returned, also where it raises that.

    Raises:
        CommandFailed: the client or the server failed.
    """
    try:
        return prove()
    except (verify.UpdateLost, verify.ProvedNothing) as error:
        return error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a client that ends the process has kept nothing
        raise CommandFailed(f"the client or the server failed: {error_words(error, place=True)}") from error


def exit_code(outcome: Outcome) -> int:
    """The exit code of a command with this outcome."""
    if isinstance(outcome, verify.Report):
        return EXIT_CODES["kept"]
    return EXIT_CODES["broken" if isinstance(outcome, verify.UpdateLost) else "inconclusive"]
