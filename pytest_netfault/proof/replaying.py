"""How a loss is played again: the lines of Python that a test can hold, and the command that reads the trace."""

from __future__ import annotations

import shlex

from pytest_netfault.schedules.dead_flows import NOTICE_SECONDS, has_dead_flow
from pytest_netfault.schedules.schedule import Schedule, imports_for, wrapped

__all__ = ["replay_command", "replay_lines"]


def replay_lines(
    schedule: Schedule,
    *,
    promise: str = "every-event",
    settle: float = 5.0,
    notice: float | None = NOTICE_SECONDS,
    seed: int | None = None,
    width: int = 96,
) -> list[str]:
    """The lines that play a schedule again, to be pasted: imports, the schedule, and the call.

    Args:
        schedule: what is played.
        promise: what the subscriber was promised. This and what follows is named where it is not the default.
        settle: how long the subscriber was waited for.
        notice: the same where a flow died without a word.
        seed: the seed of the proof.
        width: how many columns a line may have, where the steps allow it.

    >>> from pytest_netfault import Schedule, Subscribe
    >>> print("\\n".join(replay_lines(Schedule([Subscribe()]), settle=2.0, seed=7)))
    from pytest_netfault import Schedule, Subscribe, verify
    schedule = Schedule([Subscribe()])
    verify.replay(open_store, server, schedule, settle=2, seed=7)
    """
    arguments = "" if promise == "every-event" else f", promise={promise!r}"
    arguments += "" if settle == 5.0 else f", settle={settle:g}"
    if notice != NOTICE_SECONDS and has_dead_flow(schedule):
        arguments += f", notice={'None' if notice is None else f'{notice:g}'}"
    arguments += "" if seed is None else f", seed={seed}"
    return [
        *imports_for(schedule, "verify", width=width, packed=True).splitlines(),
        *f"schedule = {wrapped(schedule, width=width - 12)}".splitlines(),
        f"verify.replay(open_store, server, schedule{arguments})",
    ]


def replay_command(trace: str, *, store: str = "", server: str = "") -> str:
    """The command that plays a trace again.

    Args:
        trace: the path of the trace.
        store: ``file.py:name`` of the function that opens the client, if it can be named.
        server: the same of the server; empty for an etcd of this machine.

    >>> replay_command("out/update lost.json", store="tests/stores.py:open_store")
    "netfault replay 'out/update lost.json' --store tests/stores.py:open_store"
    >>> replay_command("a.json", server="MODULE:server")
    'netfault replay a.json --store MODULE:open_store --server MODULE:server'
    """
    words = ["netfault", "replay", trace, "--store", store or "MODULE:open_store"]
    return shlex.join([*words, *(["--server", server] if server else [])])
