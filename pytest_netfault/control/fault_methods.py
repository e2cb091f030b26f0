"""The methods of a link that put a fault in force: one for each fault, and each is one call of ``apply``."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from pytest_netfault.faults import (
    Blackhole,
    ConnectionNumbers,
    Corrupt,
    Cut,
    CutHow,
    Delay,
    Direction,
    Fault,
    Forget,
    Frame,
    Lose,
    OnHeal,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
    shown,
)

if TYPE_CHECKING:
    from pytest_netfault.control.link import ActiveFault

__all__ = ["FaultMethods"]

P = ParamSpec("P")


def _also_by_the_name_of_the_limit(delay: Callable[P, ActiveFault]) -> Callable[P, ActiveFault]:
    """Take ``seconds`` beside a latency by position for what it is of every other method: the limit."""

    @functools.wraps(delay)
    def call(*args: P.args, **kwargs: P.kwargs) -> ActiveFault:
        named: dict[str, Any] = kwargs
        if len(args) > 1 and "seconds" in named:
            limit = named.pop("seconds")
            if "heal_after" in named:
                raise TypeError(
                    f"seconds={shown(limit)} and heal_after={shown(named['heal_after'])} both say when the delay ends; "
                    "give one of them"
                )
            named["heal_after"] = limit
        return delay(*args, **kwargs)

    return call


class FaultMethods(ABC):
    """What a :class:`.Link` has for each fault."""

    @abstractmethod
    def apply(self, fault: Fault) -> ActiveFault:
        """Put a fault in force."""

    # The limits of each fault: it heals itself after ``seconds``; it holds for the connections with these numbers
    # only, or for this share of them. See :class:`.Fault`.

    def sever(
        self,
        *,
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Close open connections in order (FIN both ways) and refuse new ones."""
        return self.apply(Sever(seconds=seconds, connections=connections, share=share))

    def reset(
        self,
        *,
        seconds: None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Close open connections with RST. New ones are served, so there is nothing to heal, and no ``seconds``."""
        return self.apply(Reset(seconds=seconds, connections=connections, share=share))

    def refuse(
        self,
        *,
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
        count: int | None = None,
    ) -> ActiveFault:
        """Refuse new connections, or the next ``count`` of them; open ones live on. See :class:`.Refuse`."""
        return self.apply(Refuse(seconds=seconds, connections=connections, share=share, count=count))

    def blackhole(
        self,
        direction: Direction = "both",
        *,
        packets: bool = False,
        on_heal: OnHeal = "resume",
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Silence: nothing passes, nothing is closed, new connections hang. See :class:`.Blackhole`."""
        return self.apply(
            Blackhole(direction, packets, on_heal, seconds=seconds, connections=connections, share=share)
        )

    @_also_by_the_name_of_the_limit
    def delay(
        self,
        seconds: float,
        *,
        jitter: float = 0,
        direction: Direction = "both",
        connections: ConnectionNumbers = None,
        share: float | None = None,
        heal_after: float | None = None,
    ) -> ActiveFault:
        """Add latency, without a limit of bandwidth; it heals itself after ``heal_after``. See :class:`.Delay`.

        Where the latency comes by position, ``seconds`` is the limit, as of every other method:
        ``delay(0.1, seconds=2)`` is ``delay(0.1, heal_after=2)``.
        """
        return self.apply(
            Delay(seconds, jitter, direction, connections=connections, share=share, heal_after=heal_after)
        )

    def throttle(
        self,
        bytes_per_second: float,
        direction: Direction = "both",
        *,
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Limit the rate of each connection and direction. See :class:`.Throttle`."""
        return self.apply(
            Throttle(bytes_per_second, direction, seconds=seconds, connections=connections, share=share)
        )

    def slice(
        self,
        size: int,
        *,
        gap: float = 0,
        direction: Direction = "both",
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Send segments of at most ``size`` bytes, ``gap`` seconds apart. See :class:`.Slice`."""
        return self.apply(Slice(size, gap, direction, seconds=seconds, connections=connections, share=share))

    def corrupt(
        self,
        probability: float,
        direction: Direction = "both",
        *,
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Change bytes in flight, each with this probability. See :class:`.Corrupt`."""
        return self.apply(
            Corrupt(probability, direction, seconds=seconds, connections=connections, share=share)
        )

    def lose(
        self,
        probability: float,
        direction: Direction = "both",
        *,
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Let the kernel drop segments with this probability. See :class:`.Lose`."""
        return self.apply(Lose(probability, direction, seconds=seconds, connections=connections, share=share))

    def cut(
        self,
        after_bytes: int | None = None,
        *,
        direction: Direction = "both",
        connection: int | None = None,
        how: CutHow = "fin",
        at: Frame | None = None,
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Cut a connection when exactly that many bytes were delivered, or at a place in a frame. See :class:`.Cut`."""
        return self.apply(
            Cut(
                after_bytes,
                direction,
                connection,
                how,
                at,
                seconds=seconds,
                connections=connections,
                share=share,
            )
        )

    def stall_accept(
        self,
        *,
        seconds: float | None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Let connecting hang; open connections live on."""
        return self.apply(StallAccept(seconds=seconds, connections=connections, share=share))

    def forget(
        self,
        *,
        packets: bool = False,
        seconds: None = None,
        connections: ConnectionNumbers = None,
        share: float | None = None,
    ) -> ActiveFault:
        """Make every flow that is open now mute for good; new connections are served. See :class:`.Forget`.

        There is nothing to heal: the flows stay mute, whatever is healed, until the link is closed.
        """
        return self.apply(Forget(packets, seconds=seconds, connections=connections, share=share))
