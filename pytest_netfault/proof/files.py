"""What a failing proof leaves behind: the trace for ``netfault judge``, the schedule as a Python file, and a picture.

Files appear complete or not at all, also when two workers write at once.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_netfault.common.files import write_whole
from pytest_netfault.common.printable import error_words, printable
from pytest_netfault.common.wording import counted
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture import picture
from pytest_netfault.report.html import ReportNotPossible, render
from pytest_netfault.report.timeline import Timeline
from pytest_netfault.schedules.schedule import imports_for, wrapped

__all__ = ["document", "files_beside", "keep_report", "picture_beside", "write_report"]

# Items of a stream.
_READABLE = 1_000


def document(
    run: Run, *, seed: int | None, settle: float | None = None, notice: float | None = None
) -> dict[str, Any]:
    """The trace of a run as plain objects, and beside it what ``netfault replay`` needs, and the acknowledgements."""
    recorded = (run.recorded or run.trace).to_json()
    told = recorded.get("acknowledgements") or [
        {"changes": dict(write.changes), "outcome": write.outcome} for write in run.writes
    ]
    return {
        **recorded,
        "broken": list(run.broken),
        "seed": seed,
        "settle": settle,
        "notice": notice,
        "schedule": run.schedule.to_json(),
        "acknowledgements": [
            {"step": write.place, "via": write.via, **one, "error": write.error or None}
            for write, one in zip(run.writes, told, strict=True)
        ],
    }


def keep_report(
    directory: Path, name: str, run: Run, trace: dict[str, Any], drawing: Timeline | None = None
) -> tuple[Path | None, str]:
    """Write what is known of a loss; the path of the trace if it is there, and what could not be written.

    A full disk must not hide that an update was lost.
    """
    try:
        return write_report(directory, name, run, trace, drawing), ""
    except OSError as error:
        path = directory / f"{name}.json"
        trouble = f"\nNot all of it could be written to {printable(str(directory))}: {error_words(error)}"
        return (path if os.path.isfile(path) else None), trouble  # noqa: PTH113 - is_file() raises where it cannot look


def write_report(
    directory: Path,
    name: str,
    run: Run,
    trace: dict[str, Any],
    drawing: Timeline | None = None,
    *,
    played: int | None = None,
) -> Path:
    """Write ``name.json`` and ``name.py``, and ``name.html`` if it can be drawn; return the path of the trace.

    Args:
        directory: made if need be.
        name: of the files.
        run: what is reported.
        trace: its :func:`document`.
        drawing: its picture, if it was drawn already.
        played: of a proof that was interrupted, how many examples it had played.
    """
    why = (
        f"Breaks: {', '.join(run.broken)}"
        if run.broken
        else f"Interrupted after {counted(played or 0, 'example')}; the last one"
    )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    # What nobody will read is written in one line, which takes a tenth of the time.
    indent = None if len(trace["stream"]) > _READABLE else 1
    write_whole(path, json.dumps(trace, indent=indent, ensure_ascii=False) + "\n")
    write_whole(
        directory / f"{name}.py",
        f"{imports_for(run.schedule)}\n\n# {why}\nSCHEDULE = {wrapped(run.schedule)}\n",
    )
    drawing = drawing or picture(run, seed=trace["seed"])
    if played is not None:
        what = "smallest failing" if run.broken else "last"
        drawing = replace(
            drawing,
            headline=f"Interrupted. {drawing.headline}"
            if run.broken
            else "Interrupted before anything was lost",
            facts=(
                *drawing.facts,
                ("interrupted", f"after {counted(played, 'example')}; this is the {what} one"),
            ),
        )
    try:
        page = render(drawing)
    except ReportNotPossible:
        return path  # the trace says the same, and the page needs an extra
    write_whole(directory / f"{name}.html", page)
    return path


def picture_beside(trace: Path | None) -> str | None:
    """The name of the picture that was drawn beside a trace, if there is one."""
    if trace is None:
        return None
    page = trace.with_suffix(".html")
    return page.name if page.is_file() else None


def files_beside(trace: Path) -> list[Path]:
    """What was written about a loss: the trace, then the schedule and the picture, where there is one."""
    return [path for suffix in (".json", ".py", ".html") if (path := trace.with_suffix(suffix)).is_file()]
