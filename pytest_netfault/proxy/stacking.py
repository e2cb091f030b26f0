"""How faults act on a connection: which stage each puts into a direction of it, and a fault of your own.

Pure; no sockets. What a fault without a stage does to the listener and to whole connections is what its traits say.
"""

from __future__ import annotations

import heapq

from pytest_netfault.faults import Fault, directions_of, shown
from pytest_netfault.faults.base import fields_of
from pytest_netfault.proxy.stage import Place, Stage
from pytest_netfault.proxy.stages import stage_for

__all__ = ["CustomFault", "Ordinals", "Place", "has_stages", "may_wait", "stage_of"]


class CustomFault(Fault):
    """A fault of your own, applied by ``link.apply`` like the built-in ones.

    Make a frozen dataclass of it and say in :meth:`stage` what it does to one direction of one connection. A
    field ``direction`` chooses the direction, as for the built-in faults; without it both are claimed. The limits
    ``seconds``, ``connections`` and ``share`` it has like them. What else others
    need to know of it, so that it is drawn, shrunk and reported like ours, it declares as ours do: see
    :class:`pytest_netfault.faults.Traits` and the methods of :class:`pytest_netfault.Fault`.

    >>> from dataclasses import dataclass
    >>> from pytest_netfault.proxy import CustomFault, Place, Stage
    >>> class Upper(Stage):
    ...     def pull(self, now):
    ...         item = super().pull(now)
    ...         return bytes(item).upper() if isinstance(item, (bytes, memoryview)) else item
    >>> @dataclass(frozen=True, repr=False)
    ... class Shout(CustomFault):
    ...     def stage(self, place: Place) -> Stage:
    ...         return Upper()
    >>> Shout()
    Shout()
    """

    def check(self) -> None:
        """See :meth:`.Fault.check`.

        Raises:
            TypeError: it says neither in ``stage(place)`` nor in its traits what it does, or an argument of it has the
                name of something that every fault declares.
            ValueError: its ``direction`` or its ``on_heal`` is none.
        """
        name = type(self).__name__
        self.check_limits()
        taken = sorted(_DECLARED.intersection(field.name for field in fields_of(type(self))))
        if taken:
            raise TypeError(
                f"{name}: {', '.join(taken)} is what every fault declares of itself; give the argument another name"
            )
        if type(self).stage is CustomFault.stage and not self._acts_without_stage():
            raise TypeError(f"{name} must say in stage(place) what it does")
        choices = {"direction": ("up", "down", "both"), "on_heal": ("resume", "sever", "reset")}
        for argument, values in choices.items():
            value: object = getattr(self, argument, values[0])
            if not isinstance(value, str) or value not in values:
                listed = f"{', '.join(map(repr, values[:-1]))} or {values[-1]!r}"
                raise ValueError(f"{name}: {argument} must be {listed}, not {shown(value)}")

    def _acts_without_stage(self) -> bool:
        traits = self.traits
        return (
            traits.listener != "serve"
            or traits.connections in ("sever", "reset", "forget")
            or self.packet_loss() is not None
        )

    def leaves_trace(self) -> bool:
        """See :meth:`.Fault.leaves_trace`. What somebody else wrote need not say what it met."""
        return False

    def stage(self, place: Place) -> Stage | None:
        """The stage for one direction of one connection; None leaves it alone. Called on the proxy's thread."""
        return None


# What a fault says of itself by a method of this name cannot be the name of an argument, too.
_DECLARED = frozenset(name for name in dir(CustomFault) if not name.startswith("_")) - {
    "on_heal",
    *(field.name for field in fields_of(CustomFault)),
}


class Ordinals:
    """Gives each fault of a kind the smallest number that none in force has."""

    def __init__(self) -> None:
        self._free: list[int] = []  # a heap
        self._next = 0

    def take(self) -> int:
        """The smallest free number.

        >>> ordinals = Ordinals()
        >>> ordinals.take(), ordinals.take(), ordinals.give_back(0), ordinals.take(), ordinals.take()
        (0, 1, None, 0, 2)
        """
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        """A fault is over."""
        heapq.heappush(self._free, number)


def has_stages(fault: Fault) -> bool:
    """Whether a fault may put stages into connections."""
    return stage_for.dispatch(type(fault)) is not stage_for.dispatch(Fault)


def may_wait(fault: Fault) -> bool:
    """Whether a connection at rest need not have the stages of a fault before something moves there.

    The code of somebody else's fault must be known to be right when ``apply`` returns, and a fault that ends
    connections when it is healed ends those at rest, too.
    """
    return not isinstance(fault, CustomFault) and fault.on_heal == "resume"


def stage_of(fault: Fault, place: Place) -> Stage | None:
    """The stage that ``fault`` puts into this place, or None if it does nothing to the bytes there."""
    return stage_for(fault, place) if place.direction in directions_of(fault) else None


@stage_for.register(CustomFault)
def _custom(fault: CustomFault, place: Place) -> Stage | None:
    return fault.stage(place)
