"""Faults that let nothing pass and close nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pytest_netfault.faults import arguments
from pytest_netfault.faults.arguments import DIRECTIONS, Direction
from pytest_netfault.faults.base import Chance, Fault, OnHeal, Traits

__all__ = ["Blackhole", "Forget"]


@dataclass(frozen=True, repr=False)
class Blackhole(Fault):
    """Silence: nothing passes, nothing is closed, new connections hang.

    Args:
        direction: which way is silent.
        packets: let the kernel drop the segments themselves, SYN included, so that the peer retransmits and
            times out as on a dead network (Linux only).
        on_heal: what happens to the held bytes: ``"resume"`` delivers them late and whole, ``"sever"``
            ends the connections in order, ``"reset"`` ends them with RST.
    """

    direction: Direction = "both"
    packets: bool = False
    on_heal: OnHeal = "resume"

    traits = Traits(
        effect="silence: nothing passes, and nothing is closed",
        listener="hang",
        connections="silence",
        weight=3,
        keeps_away=True,
        synonyms="partition timeout isolate silence freeze hang stall mute block pause netsplit",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.direction(self.direction)
        arguments.flag("packets", self.packets)
        arguments.choice("on_heal", self.on_heal, ("resume", "sever", "reset"))

    def packet_loss(self) -> float | None:
        """See :meth:`.Fault.packet_loss`."""
        return 1.0 if self.packets else None

    @classmethod
    def draw(cls, chance: Chance) -> Blackhole:
        """See :meth:`.Fault.draw`."""
        direction = chance.one(DIRECTIONS)
        return cls(direction, on_heal=chance.one(("resume", "resume", "reset", "sever")))

    def simpler(self) -> Iterator[Fault]:
        """See :meth:`.Fault.simpler`."""
        yield replace(self, direction="both", packets=False, on_heal="resume")
        yield replace(self, packets=False, on_heal="resume")
        yield replace(self, direction="both", packets=False)


@dataclass(frozen=True, repr=False)
class Forget(Fault):
    """Every flow that is open now is mute for good, both ways, and nothing is closed; new connections are served.

    What a NAT, a firewall or a load balancer does that has forgotten a flow. There is nothing to heal.

    Args:
        packets: let the kernel drop the segments of those flows, so that a peer's keepalive and its
            ``TCP_USER_TIMEOUT`` find out (Linux only). Without it the link's kernel still acknowledges.
    """

    packets: bool = False

    traits = Traits(
        effect="open connections are mute for good, new ones are served",
        connections="forget",
        synonyms="half_open nat_timeout idle_timeout forget_flow drop_state",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.flag("packets", self.packets)

    def needs_filters(self) -> bool:
        """See :meth:`.Fault.needs_filters`."""
        return self.packets

    @classmethod
    def draw(cls, chance: Chance) -> Forget:
        """See :meth:`.Fault.draw`."""
        return cls(packets=chance.packets and chance.once_in(3))

    def simpler(self) -> Iterator[Fault]:
        """See :meth:`.Fault.simpler`."""
        yield replace(self, packets=False)
