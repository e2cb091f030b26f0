"""Faults of whole connections: they end, or cannot be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_netfault.faults import arguments
from pytest_netfault.faults.base import Chance, Fault, Traits

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
        return super().complexity() - 2


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
        return super().complexity() - 1


@dataclass(frozen=True, repr=False)
class Refuse(Fault):
    """New connections are refused; open ones live on.

    Args:
        count: so many attempts to connect are refused, then it is healed. The proxy must see each of them, and so must
            it for ``connections`` and ``share``: ``connect()`` itself succeeds, and the RST comes at once behind it.
    """

    count: int | None = field(default=None, kw_only=True)

    traits = Traits(
        effect="new connections are refused",
        listener="refuse",
        weight=2,
        synonyms="reject reject_connections refuse_connections deny",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count is not None:
            arguments.count("count", self.count, least=1)

    def attempts_to_refuse(self) -> int | None:
        """See :meth:`.Fault.attempts_to_refuse`."""
        return self.count

    def draw_limits(self, chance: Chance) -> Mapping[str, Any]:
        """See :meth:`.Fault.draw_limits`. The first attempts to come back are worth refusing most."""
        others = super().draw_limits(chance)
        return chance.one((others, {"count": chance.one((1, 2, 3))}))

    def simpler(self) -> Iterator[Fault]:
        """See :meth:`.Fault.simpler`."""
        if self.count is not None:
            yield replace(self, count=None)
            yield replace(self, count=1)


@dataclass(frozen=True, repr=False)
class StallAccept(Fault):
    """Connecting hangs; open connections live on."""

    traits = Traits(
        effect="connecting hangs",
        listener="hang",
        synonyms="slow_accept stall_connect hang_connect",
    )
