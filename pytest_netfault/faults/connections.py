"""Faults of whole connections: they end, or cannot be made."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_netfault.faults.base import Fault, Traits

__all__ = ["Refuse", "Reset", "Sever", "StallAccept"]


@dataclass(frozen=True, repr=False)
class Sever(Fault):
    """Open connections end in order (FIN both ways); new ones are refused."""

    traits = Traits(
        effect="connections are closed, and new ones are refused",
        listener="refuse",
        connections="sever",
        weight=5,
        keeps_away=True,
        synonyms="down disable disconnect kill stop break_ cut_off unplug drop_connections close_connections",
    )

    def complexity(self) -> int:
        """The simplest fault that there is."""
        return 1


@dataclass(frozen=True, repr=False)
class Reset(Fault):
    """Open connections end at once with RST; new ones are served, so there is nothing to heal."""

    traits = Traits(
        effect="connections are reset",
        connections="reset",
        weight=5,
        synonyms="reset_peer rst abort reset_connections",
    )

    def complexity(self) -> int:
        """Next to the simplest."""
        return 2


@dataclass(frozen=True, repr=False)
class Refuse(Fault):
    """New connections are refused; open ones live on."""

    traits = Traits(
        effect="new connections are refused",
        listener="refuse",
        weight=2,
        synonyms="reject reject_connections refuse_connections deny",
    )


@dataclass(frozen=True, repr=False)
class StallAccept(Fault):
    """Connecting hangs; open connections live on."""

    traits = Traits(
        effect="connecting hangs",
        listener="hang",
        synonyms="slow_accept stall_connect hang_connect",
    )
