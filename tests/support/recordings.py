"""Traffic of real clients with real servers, as ``tests/framers/record.py`` has kept it."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_netfault.framers import Conversation, Message

__all__ = ["RECORDINGS", "Recorded", "framed", "recorded"]

_FOLDER = Path(__file__).parents[1] / "framers" / "recordings"
RECORDINGS = tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))
Way = Literal["up", "down"]


@dataclass(frozen=True)
class Recorded:
    """One connection: pieces in the order in which they passed."""

    protocol: str
    pieces: tuple[tuple[Way, bytes], ...]

    def stream(self, way: Way) -> bytes:
        """All bytes of a direction."""
        return b"".join(data for one, data in self.pieces if one == way)


def recorded(name: str) -> list[Recorded]:
    """The connections of a recording."""
    document = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return [
        Recorded(
            document["protocol"],
            tuple((way, zlib.decompress(base64.b64decode(text))) for way, text in connection),
        )
        for connection in document["connections"]
    ]


def framed(one: Recorded) -> tuple[Conversation, dict[Way, list[Message]]]:
    """The frames of a connection, and the conversation behind its last byte."""
    conversation = Conversation(one.protocol)
    frames: dict[Way, list[Message]] = {"up": [], "down": []}
    for way, data in one.pieces:
        frames[way] += conversation.feed(way, data)
    return conversation, frames
