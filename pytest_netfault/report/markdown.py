"""A session in a few lines of Markdown, for the page that a CI job shows.

It is short, because people read it beside a red job, and text that comes from a test cannot break the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_netfault.common.printable import printable, printable_lines
from pytest_netfault.common.wording import counted
from pytest_netfault.report.terminal import Totals, summary_line

__all__ = ["ROWS_SHOWN", "Row", "session_summary"]

# A table that has to be scrolled is not read; the rest is in the job's log.
ROWS_SHOWN = 20
# A reason is one line of a table.
_REASON_SHOWN = 160


@dataclass(frozen=True)
class Row:
    """A test that used the network.

    Attributes:
        nodeid: its name.
        failed: whether any phase of it failed.
        verdict: how its proof ended, or empty.
        reason: of a failed test, what was lost, why nothing was proved, or what it said.
        skipped: why the plugin has skipped it, or empty.
        schedule: of a loss, the smallest schedule.
        faults: how many faults came into force, those of its proofs included.
        met: how many of them met traffic.
        artifact: where its files are, or empty.
        command: what runs it again.
    """

    nodeid: str
    failed: bool
    verdict: str = ""
    reason: str = ""
    skipped: str = ""
    schedule: str = ""
    faults: str = "0"
    met: str = "0"
    artifact: str = ""
    command: str = ""


def session_summary(seed: int, totals: Totals, rows: Sequence[Row], *, thing: str = "test") -> str:
    """The summary, or an empty text if no test used the network.

    Args:
        seed: of the session.
        totals: what was done in all.
        rows: one for each test.
        thing: what a row is, where it is no test.

    >>> print(session_summary(7, Totals(links=1, faults=1), [Row("test_a.py::test_b", failed=False)]))
    ### netfault: 1 test, none failed
    <BLANKLINE>
    seed 7, 1 link, 1 fault, none of them met traffic
    <BLANKLINE>
    """
    if not rows:
        return ""
    failed = [row for row in rows if row.failed]
    skipped = Counter(row.skipped for row in rows if row.skipped)
    lines = [
        f"### netfault: {counted(len(rows), thing)}, {len(failed) or 'none'} failed"
        + (f", {skipped.total()} skipped" if skipped else ""),
        "",
        summary_line(seed, totals).removeprefix("netfault: "),
        "",
    ]
    for why, number in skipped.items():
        lines += [f"Skipped: {counted(number, thing)}, because {_plain(why)}", ""]
    if failed:
        lines += ["| failed | verdict | reason | faults | met traffic | files |", "|---|---|---|---|---|---|"]
        for row in failed[:ROWS_SHOWN]:
            cells = (
                _code(row.nodeid),
                _plain(row.verdict) or "-",
                _plain(row.reason) or "-",
                row.faults,
                row.met,
                _code(row.artifact) or "-",
            )
            lines.append(f"| {' | '.join(cells)} |")
        if len(failed) > ROWS_SHOWN:
            lines.append(f"\n... and {len(failed) - ROWS_SHOWN} more.")
        lines.append("")
        for row in failed[:ROWS_SHOWN]:
            if row.schedule:
                lines += [
                    f"Lost by {_code(row.nodeid)}:",
                    "",
                    "```python",
                    printable_lines(row.schedule.replace("```", "")),
                    "```",
                    "",
                ]
        lines += [
            "Run the first one again:",
            "",
            "```sh",
            printable(failed[0].command.replace("```", "")),
            "```",
            "",
        ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """A text in a cell of a table, or in a sentence: short, and no markup of its own.

    >>> _plain("<b>revision | 3</b> never `arrived`")
    '\\\\<b\\\\>revision \\\\| 3\\\\</b\\\\> never \\\\`arrived\\\\`'
    """
    text = printable(" ".join(text.split()))
    text = text if len(text) <= _REASON_SHOWN else f"{text[: _REASON_SHOWN - 3]}..."
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text)


def _code(text: str) -> str:
    """A text as it is, in a cell of a table.

    >>> _code("test_a.py::test_b[x|y`z]")
    "`test_a.py::test_b[x\\\\|y'z]`"
    """
    text = printable(" ".join(text.split()))
    return f"`{text.replace('`', chr(39)).replace('|', chr(92) + '|')}`" if text else ""
