"""The kinds of toxics: the attributes of each, what they may be, and the stage that does it.

A new kind is an entry of :data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_netfault.proxy.stage import Place, Stage
from pytest_netfault.proxy.stages import DelayStage, HoldStage, ThrottleStage
from pytest_netfault.serve.errors import BAD_BODY
from pytest_netfault.serve.stages import LimitStage, SlicerStage, SlowCloseStage, SwallowStage
from pytest_netfault.serve.wire import Fields

__all__ = ["KINDS", "Attributes", "Kind"]

Attributes: TypeAlias = Mapping[str, "int | float"]

# A kilobyte of Toxiproxy has 1,000 bytes.
_KILOBYTE = 1000
# A petabyte each second: far beyond what moves, and far below where numbers of 64 bits end.
_LARGEST_RATE = 10**12
# What a timer of 64 bits counts in nanoseconds, in milliseconds.
_LONGEST_MS = (2**63 - 1) // 10**6
# A slicer that makes larger pieces than this makes none.
_LARGEST_SIZE = 2**62


@dataclass(frozen=True)
class Moment:
    """Where and since when a stage stands.

    Attributes:
        place: the connection, the direction and the position.
        now: the time.
        key: what random choices are made from.
    """

    place: Place
    now: float
    key: str


@dataclass(frozen=True)
class Kind:
    """A kind of toxic.

    Attributes:
        effect: what it does, for the reference.
        attributes: the name of each, and whether it is a whole number or any number. What is not given is 0.
        stage: makes the stage of one direction of a connection; None where nothing happens to the bytes.
        ranges: the least and the most of an attribute where not every number has a meaning.
        check: raises what is wrong with several attributes together.
        on_heal: what happens to the connections that it acted on when it is removed.
        at_once: whether it acts on a connection on which nothing moves.
        loss: the attribute that is a share of lost packets.
    """

    effect: str
    attributes: Mapping[str, type[int] | type[float]] = field(default_factory=dict)
    stage: Callable[[Attributes, Moment], Stage | None] = lambda _attributes, _moment: None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    check: Callable[[Attributes], None] = lambda _attributes: None
    on_heal: Literal["resume", "sever"] = "resume"
    at_once: bool = False
    loss: str | None = None

    def read(self, fields: Fields, before: Attributes) -> dict[str, int | float]:
        """The attributes that a request gives; what it does not give stays as it was, or is 0.

        Raises:
            ApiError: 400, one of them is not what it must be; the message names it.
        """
        made: dict[str, int | float] = {}
        for name, kind in self.attributes.items():
            default = before.get(name, 0)
            made[name] = fields.whole(name, int(default)) if kind is int else fields.number(name, default)
        for name, (least, most) in self.ranges.items():
            if not least <= made[name] <= most:
                raise BAD_BODY.because(
                    f"{name} must lie between {least:,.15g} and {most:,.15g}, not {made[name]:,}"
                )
        self.check(made)
        return made


def _latency(attributes: Attributes, moment: Moment) -> Stage:
    return DelayStage(
        attributes["latency"] / 1000,
        attributes["jitter"] / 1000,
        key=moment.key,
        position=moment.place.position,
    )


def _bandwidth(attributes: Attributes, _moment: Moment) -> Stage:
    rate = attributes["rate"] * _KILOBYTE
    return ThrottleStage(rate) if rate else HoldStage()


def _slicer(attributes: Attributes, moment: Moment) -> Stage:
    return SlicerStage(
        int(attributes["average_size"]),
        int(attributes["size_variation"]),
        attributes["delay"] / 1_000_000,
        key=moment.key,
        position=moment.place.position,
    )


def _check_slicer(attributes: Attributes) -> None:
    average, variation = attributes["average_size"], attributes["size_variation"]
    if variation > average:
        raise BAD_BODY.because(
            f"size_variation must be at most average_size ({average:,}), not {variation:,}"
        )


def _timeout(attributes: Attributes, moment: Moment) -> Stage:
    milliseconds = attributes["timeout"]
    return SwallowStage(moment.now, milliseconds / 1000 if milliseconds else None, "fin")


def _reset_peer(attributes: Attributes, moment: Moment) -> Stage:
    return SwallowStage(moment.now, attributes["timeout"] / 1000, "rst")


_MS = (0, _LONGEST_MS)

#: The kinds by the name that a request gives.
KINDS: dict[str, Kind] = {
    "bandwidth": Kind(
        "at most `rate` kilobytes (of 1,000 bytes) each second; 0 holds everything until the toxic is removed",
        {"rate": int},
        _bandwidth,
        {"rate": (0, _LARGEST_RATE)},
    ),
    "latency": Kind(
        "each chunk `latency` milliseconds, plus or minus up to `jitter`, after it came",
        {"latency": int, "jitter": int},
        _latency,
        {"latency": _MS, "jitter": _MS},
    ),
    "limit_data": Kind(
        "the connection ends when exactly `bytes` bytes have passed since the toxic took hold of it",
        {"bytes": int},
        lambda attributes, _moment: LimitStage(int(attributes["bytes"])),
    ),
    "noop": Kind("nothing"),
    "packet_loss": Kind(
        "the kernel drops this share of the segments, and TCP retransmits; `correlation` is kept and not simulated",
        {"loss_rate": float, "correlation": float},
        ranges={"loss_rate": (0, 1), "correlation": (0, 1)},
        loss="loss_rate",
    ),
    "reset_peer": Kind(
        "nothing passes, and the connection is reset (RST) after `timeout` milliseconds",
        {"timeout": int},
        _reset_peer,
        {"timeout": _MS},
        at_once=True,
    ),
    "slicer": Kind(
        "pieces of `average_size` plus or minus `size_variation` bytes, `delay` microseconds after each",
        {"average_size": int, "size_variation": int, "delay": int},
        _slicer,
        {"average_size": (1, _LARGEST_SIZE), "size_variation": (0, _LARGEST_SIZE), "delay": (0, _LONGEST_MS)},
        _check_slicer,
    ),
    "slow_close": Kind(
        "the end of the stream `delay` milliseconds after it came",
        {"delay": int},
        lambda attributes, _moment: SlowCloseStage(attributes["delay"] / 1000),
        {"delay": _MS},
    ),
    "timeout": Kind(
        "nothing passes, and the connection is closed after `timeout` milliseconds; 0 never closes it",
        {"timeout": int},
        _timeout,
        {"timeout": _MS},
        on_heal="sever",
    ),
}
