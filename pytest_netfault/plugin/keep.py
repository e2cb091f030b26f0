"""Keeps the servers of a session up after a failure, so that they can be examined.

With ``--netfault-keep=on-failure`` the session waits, after its last test and before its servers end, for Ctrl-C: a
store that a test left in a strange state can be asked about it with any client. What is kept still belongs to the
session and ends with it, so that nothing is ever left behind. It waits only where one person watches one process, and
only if a test failed.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_netfault.common.interrupts import wait_for_ctrl_c
from pytest_netfault.common.printable import printable

__all__ = ["hold"]


def hold(config: pytest.Config, servers: Sequence[tuple[str, str]]) -> None:
    """Say what is kept, and return at Ctrl-C.

    Args:
        config: of the session.
        servers: the name of each and where clients connect.
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(
                "netfault: no server is kept, because Ctrl-C is ignored here (nohup, a background job)"
            )
        return
    if capture is not None:
        capture.suspend_global_capture(in_=True)
    try:
        if terminal is not None:
            kept = ", ".join(f"{name} at {address}" for name, address in servers)
            terminal.ensure_newline()
            _show_failures(terminal)
            terminal.write_line(f"netfault: a test failed, so {kept} is kept; Ctrl-C ends it")
            terminal.flush()
        wait_for_ctrl_c()
    except KeyboardInterrupt:  # the way to say that one has seen enough
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line("netfault: Ctrl-C, so it ends")
    finally:
        if capture is not None:
            capture.resume_global_capture()


def _show_failures(terminal: Any) -> None:
    """What pytest will say at the end, now: without it nobody knows what to look for in a server that is kept."""
    for report in (*terminal.stats.get("error", ()), *terminal.stats.get("failed", ())):
        terminal.write_sep(
            "_", printable(str(getattr(report, "head_line", "") or report.nodeid)), red=True, bold=True
        )
        terminal.write_line(report.longreprtext)
        for name, text in report.sections:
            if name == "netfault":
                terminal.write_sep("-", name)
                terminal.write_line(text)
