"""Shows on the output of a command where a proof is: on a terminal a line that changes, elsewhere one now and then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from pytest_netfault.cli.console import Console
from pytest_netfault.report.pacing import Pacing

__all__ = ["progress_lines"]


@contextlib.contextmanager
def progress_lines(console: Console, before: str) -> Iterator[Callable[[str], None]]:
    """Gives the function that is called with each new line; a terminal is as it was when the block ends.

    A terminal is rewritten by rich. Without it (extra ``report``) the lines are plain there as well.

    Args:
        console: where they are shown.
        before: what each line begins with.
    """
    pacing = Pacing()
    with contextlib.ExitStack() as stack:
        rewrite = stack.enter_context(_rewritten(console))

        def show(line: str) -> None:
            if not pacing.due(rewritten=rewrite is not None):
                return
            if rewrite is not None:
                rewrite(f"{before}{line}")
            else:
                console.lines(f"{before}{line}")
                console.flush()

        yield show


@contextlib.contextmanager
def _rewritten(console: Console) -> Iterator[Callable[[str], None] | None]:
    """What changes the last line of a terminal; None where that is not possible."""
    if not console.is_terminal:
        yield None
        return
    try:
        from rich.console import Console as RichConsole
        from rich.text import Text
    except ModuleNotFoundError:
        yield None
        return
    with RichConsole(file=console.out).status("starting") as status:
        yield lambda line: status.update(Text(line))
