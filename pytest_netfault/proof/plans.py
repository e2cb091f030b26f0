"""What a proof plays, as data: it can be sent to another process, and says by itself how it is played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from pytest_netfault.faults import Cut
from pytest_netfault.proof.campaign import Campaign
from pytest_netfault.proof.guided import Guided
from pytest_netfault.proof.results import Result
from pytest_netfault.proof.sweep import Wanted
from pytest_netfault.schedules.dead_flows import Plan, dead_flow, touches_server
from pytest_netfault.schedules.generate import ALL, FaultMix, seeded
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import ANYTHING, Asked
from pytest_netfault.schedules.steps import Break

__all__ = ["Again", "Examples", "Proof", "Replay", "Search", "Sweep"]

#: What decides which schedules are played: the seed alone, or also what was played.
Search = Literal["seeded", "guided"]


class Proof(Protocol):
    """One proof."""

    @property
    def call(self) -> str:
        """The name of its function."""

    @property
    def asked(self) -> Asked:
        """What a smaller schedule may have."""

    def prove(self, campaign: Campaign) -> Result:
        """Play it, or the part of it that the campaign's settings name."""


@dataclass(frozen=True)
class Examples:
    """Schedules that are drawn.

    Attributes:
        mix: the faults that they are drawn from.
        count: how many.
        search: ``"guided"`` if what was played decides what is played next.
    """

    mix: FaultMix
    count: int
    search: Search = "seeded"
    call: ClassVar[str] = "no_update_lost"

    @property
    def asked(self) -> Asked:
        return Asked(self.mix.faults)

    def prove(self, campaign: Campaign) -> Result:
        settings = campaign.settings
        named = self.mix.faults != ALL
        possible = campaign.bench.possible(self.mix, named=named)
        plan = Plan.of(possible, self.count, notice=settings.notice, named=named)
        part, seed = settings.part, settings.seed
        mine = [example for example in range(plan.examples) if part.holds(example)]
        beside = [dead_flow(seed, one, possible) for one in range(plan.dead_flows) if part.holds(one)]
        if self.search == "guided":
            shared = not campaign.bench.has_servers_apart
            guided = Guided(seed, mine, plan.mix, waits=lambda one: shared and touches_server(one))
            return campaign.prove(guided, of=len(mine), dead_flows=beside, guided=guided)
        drawn = (seeded(seed, example, plan.mix) for example in mine)
        return campaign.prove(drawn, of=len(mine), dead_flows=beside)


@dataclass(frozen=True)
class Again:
    """One that has lost an update before: whether it still does.

    Attributes:
        schedule: which.
        asked: what a smaller one may have.
        of: what it is an example of, in words.
    """

    schedule: Schedule
    asked: Asked
    of: str
    call: ClassVar[str] = "no_update_lost"

    def prove(self, campaign: Campaign) -> Result:
        return campaign.play_again(self.schedule, f"Played again from the database: example of {self.of}")


@dataclass(frozen=True)
class Sweep:
    """A scenario, cut at each place.

    Attributes:
        scenario: what is played.
        places: where it is cut.
    """

    scenario: Schedule
    places: Wanted
    call: ClassVar[str] = "sweep"

    @property
    def asked(self) -> Asked:
        own = {type(step.fault) for step in self.scenario if isinstance(step, Break)}
        return Asked((Cut, *own), how=self.places.how, direction=self.places.direction)

    def prove(self, campaign: Campaign) -> Result:
        return campaign.sweep(self.scenario, self.places)


@dataclass(frozen=True)
class Replay:
    """One schedule, as it is.

    Attributes:
        schedule: which.
        smaller: what a smaller one may have, if it is to be made small; None if it is reported as it is.
    """

    schedule: Schedule
    smaller: Asked | None = None
    call: ClassVar[str] = "replay"

    @property
    def asked(self) -> Asked:
        return self.smaller or ANYTHING

    def prove(self, campaign: Campaign) -> Result:
        return campaign.replay(self.schedule, smaller=self.smaller)
