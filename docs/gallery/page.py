"""The page of the gallery, made from the rows and from what was played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docs.gallery.play import DEAD, LONG, PARTS
from docs.gallery.rows import Row

__all__ = ["page", "table", "verdict"]

_WORST_FIRST = ("broken", "failed", "inconclusive", "kept")


def verdict(result: Mapping[str, Any]) -> str:
    """The worst of what was played."""
    return min((result[part]["verdict"] for part in _played(result)), key=_WORST_FIRST.index)


def _played(result: Mapping[str, Any]) -> list[str]:
    return [part for part in (*PARTS, LONG) if part in result]


def table(rows: Sequence[Row], results: Mapping[str, Mapping[str, Any]]) -> str:
    """What was played, a line for each client; what was not is not there."""
    lines = [
        "| client | version | server | held to | verdict | found by | played | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    spent = 0.0
    for row in rows:
        if row.name in results:
            result = results[row.name]
            worst = verdict(result)
            by = (
                ", ".join(part for part in _played(result) if result[part]["verdict"] == worst)
                if worst != "kept"
                else ""
            )
            spent += (seconds := _seconds(result))
            cells = (
                f"[{row.title}](#{_anchor(row.title)})",
                result["client"].rpartition(" ")[2],
                result["server"],
                f"`{result['promise']}`",
                f"**{worst}**" if worst == "broken" else worst,
                by or "-",
                ", ".join(f"{result.get(part, {}).get('tried', 0):,}" for part in PARTS),
                f"{seconds:.0f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"All of it took {spent / 60:.0f} minutes.{_conditions(results)}"])


def _seconds(result: Mapping[str, Any]) -> float:
    """What a row took; of one of which only parts were played, those, and the dead flow waits beside them."""
    parts = (part for part in PARTS if part in result and part != DEAD)
    return float(result["took"] if "took" in result else sum(result[part]["seconds"] for part in parts))


def _conditions(results: Mapping[str, Mapping[str, Any]]) -> str:
    """How busy the machine was, where it was noted."""
    loads = [
        result[part]["load"]
        for result in results.values()
        for part in _played(result)
        if "load" in result[part]
    ]
    if not loads:
        return ""
    return (
        f" Its two cores had a load of {min(loads):g} to {max(loads):g} when the rows had ended; figures in seconds "
        "are those of such a machine."
    )


def page(rows: Sequence[Row], results: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page."""
    played = [row for row in rows if row.name in results]
    return "\n".join(
        [_INTRODUCTION, table(rows, results), "", *(_section(row, results[row.name]) for row in played)]
    )


def _section(row: Row, result: Mapping[str, Any]) -> str:
    lines = [f"## {row.title}", ""]
    if row.quote:
        lines += [f"> {row.quote}", ">", f"> {row.place}", ""]
    else:
        lines += [f"It promises nothing about this. {row.place}".strip(), ""]
    lines += [
        f"{result['client']} with {result['server']}, held to `{result['promise']}`, seed {result['seed']}:",
        "",
    ]
    for part in _played(result):
        one = result[part]
        lines.append(f"* {part}, {one['played']}: {one['verdict']}; {one['figures']}")
    lines.append("")
    for part in _played(result):
        if result[part]["story"]:
            lines += [f"The {part}, as printed:", "", "```text", result[part]["story"].rstrip(), "```", ""]
    if row.instead:
        lines += [row.instead, ""]
    lines += [f"```{{literalinclude}} stores/{row.name}.py", "```", ""]
    if row.program:
        lines += ["The program:", ""]
        lines += [f"```{{literalinclude}} ../examples/languages/{row.program}", "```", ""]
    return "\n".join(lines)


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


_INTRODUCTION = """\
# Gallery of verdicts

Released clients of real servers, each behind four methods as its users would write them, and each put through four
things: the proof (`verify.no_update_lost`), a dead flow (a connection that goes silent for good while new ones work, to
be noticed within 45 s), a sweep of its first connection (a cut with FIN and with RST at every so many-th byte), and a
sweep of its recovery (after an outage, each new connection is cut at one byte until it is healed).
A client is held to what its documentation promises. Where it promises nothing it is held to the least that is of use,
`comes-back`, and nobody is blamed for what it does not do.

What a row says was played, with these versions and seeds, by `tox -e gallery`; a row that was not played is not here.
How much is played of a row is bounded by time: 55 s for the proof and 110 s for all of it, of which each of the sweeps
has at least 25 s; beside them the dead flow is waited for. What is played of a sweep is spread over all its places, and
its line says how much of them it is. Making a loss small, and playing it again, comes on top of these times.
The column "played" has the examples of the proof, the dead flows, the places of the sweep and the recoveries; where one
of the four broke, those until then.
A verdict is about the store as it is printed: client, options and the loop around it together. Kept means that so many
schedules found nothing, and no more.
"""
