"""A toxic: a fault of ours with the name, the stream and the toxicity that Toxiproxy's clients know."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from typing import Any

from pytest_netfault.faults import Direction, Fault, OnHeal, Traits
from pytest_netfault.proxy.stage import Place, Stage, stage_for
from pytest_netfault.serve.errors import INVALID_STREAM, INVALID_TOXIC_TYPE
from pytest_netfault.serve.kinds import KINDS, Kind, Moment
from pytest_netfault.serve.wire import Fields

__all__ = ["Toxic", "read_toxic", "updated_toxic"]

_DIRECTIONS: dict[str, Direction] = {"upstream": "up", "downstream": "down", "both": "both"}


@dataclass(frozen=True, repr=False)
class Toxic(Fault):
    """A toxic of a proxy.

    Attributes:
        name: unique on its proxy.
        kind: its type, one of :data:`.KINDS`.
        stream: as the client wrote it; in lower case one of ``upstream``, ``downstream`` and ``both``.
        toxicity: the share of connections that it acts on; below 0 is none, above 1 all.
        attributes: what its type takes, by name.
        root: what its random choices are made from: the seed, and the name of the proxy.
    """

    name: str
    kind: str
    stream: str = "downstream"
    toxicity: float = 1.0
    attributes: tuple[tuple[str, int | float], ...] = ()
    root: str = ""

    traits = Traits(effect="what its type says", drawn=False)

    @property
    def direction(self) -> Direction:
        """The direction of the stream."""
        return _DIRECTIONS[self.stream.lower()]

    @property
    def on_heal(self) -> OnHeal:  # type: ignore[override]
        """What removing it does to the connections that it acted on."""
        return self.of_kind.on_heal

    @property
    def of_kind(self) -> Kind:
        """What its type does."""
        return KINDS[self.kind]

    @property
    def key(self) -> str:
        """What its random choices are made from."""
        return f"{self.root}/{self.name}"

    def check(self) -> None:
        """See :meth:`.Fault.check`: a request is checked when it is read."""

    def packet_loss(self) -> float | None:
        """See :meth:`.Fault.packet_loss`."""
        loss = self.of_kind.loss
        return None if loss is None else dict(self.attributes)[loss]

    def takes_effect_at(self) -> tuple[int, Direction] | None:
        """See :meth:`.Fault.takes_effect_at`."""
        return (0, self.direction) if self.of_kind.at_once else None

    def acts_on(self, connection: int) -> bool:
        """Whether it acts on the connection of this number, which is rolled once for each."""
        if self.toxicity >= 1:
            return True
        digest = hashlib.blake2b(f"{self.key}/{connection}".encode(errors="replace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 < self.toxicity

    def __repr__(self) -> str:
        """What messages call it."""
        return f"toxic {self.name!r} ({self.kind})"

    def to_json(self) -> dict[str, Any]:
        """The toxic as clients get it."""
        return {
            "attributes": dict(self.attributes),
            "name": self.name,
            "type": self.kind,
            "stream": self.stream,
            "toxicity": self.toxicity,
        }


@stage_for.register(Toxic)
def _toxic(toxic: Toxic, place: Place) -> Stage | None:
    if not toxic.acts_on(place.connection):
        return None
    moment = Moment(place, time.monotonic(), f"{toxic.key}/{place.connection}/{place.direction}")
    return toxic.of_kind.stage(dict(toxic.attributes), moment)


def read_toxic(body: object, *, root: str, check_name: Any = lambda _name: None) -> Toxic:
    """The toxic that a request asks for.

    Args:
        body: the decoded body.
        root: see :class:`Toxic`.
        check_name: raises if the name is taken; before the attributes are looked at.

    Raises:
        ApiError: 400, it is none; or what ``check_name`` raises.
    """
    fields = Fields(body, "toxic")
    kind = fields.text("type", "")
    stream = fields.text("stream", "downstream")
    name = fields.text("name", "")
    toxicity = fields.single("toxicity", 1.0)
    if stream.lower() not in _DIRECTIONS:
        raise INVALID_STREAM()
    if kind not in KINDS:
        raise INVALID_TOXIC_TYPE()
    name = name or f"{kind}_{stream}"
    check_name(name)
    attributes = KINDS[kind].read(Fields(fields.value("attributes"), "attributes"), {})
    return _limited(Toxic(name, kind, stream, toxicity, tuple(attributes.items()), root))


def updated_toxic(toxic: Toxic, body: object) -> Toxic:
    """A toxic with what a request changes; its name, type and stream stay.

    Raises:
        ApiError: 400.
    """
    fields = Fields(body, "toxic")
    before = dict(toxic.attributes)
    attributes = toxic.of_kind.read(Fields(fields.value("attributes"), "attributes"), before)
    toxicity = fields.single("toxicity", toxic.toxicity)
    return _limited(dataclasses.replace(toxic, toxicity=toxicity, attributes=tuple(attributes.items())))


def _limited(toxic: Toxic) -> Toxic:
    """Segments are dropped by the kernel and not by a stage, so it must know for which connections."""
    if toxic.of_kind.loss is None:
        return toxic
    return dataclasses.replace(toxic, share=None if toxic.toxicity >= 1 else max(0.0, toxic.toxicity))
