"""What a proof lost before: its smallest schedules, in the example database of Hypothesis, where that is installed.

The database is the one of the settings in force, as for any property test: ``.hypothesis/examples`` unless a profile
names another, and none with ``database=None``. It maps a key to values, both bytes:

* the key names the client, the kind of server and the promise, and neither a path nor a number of this machine, so that
  what a CI job has saved is found on a laptop;
* a value is one schedule as JSON. What cannot be read is left alone: it may be of a newer version.

A schedule counts for nothing until it has been played again. One that loses nothing any more is dropped.

>>> name_of(open, "every-event")
"io.open, 'every-event'"
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pytest_netfault.common.printable import error_words
from pytest_netfault.proof.process_store import ProcessStore
from pytest_netfault.schedules.dead_flows import has_dead_flow
from pytest_netfault.schedules.generate import ALL, FaultMix
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import Asked, complexity
from pytest_netfault.schedules.steps import Break

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

__all__ = ["Remembered", "forgetful", "name_of"]

_KEY = "pytest-netfault no_update_lost 1"
# So many are played again, the simplest first: what one mistake has left in the course of time is often the same loss.
_MOST = 10
_PLAIN = (str, bytes, int, float, bool, type(None))
_forgetful = 0


@contextlib.contextmanager
def forgetful() -> Iterator[None]:
    """In this block nothing is read or saved: for what must say the same each time, as a demonstration does."""
    global _forgetful
    _forgetful += 1
    try:
        yield
    finally:
        _forgetful -= 1


class Remembered:
    """The schedules that were saved of one proof.

    Args:
        open_store: the client under test.
        server: the server, or what opens one.
        promise: what was promised.

    Attributes:
        of: what they are examples of, in words.
    """

    def __init__(self, open_store: object, server: object, promise: str) -> None:
        self.of = name_of(open_store, promise)
        self._key = "\0".join((_KEY, self.of, _named(server, arguments=False))).encode()
        self._database = _database()

    def schedules(self, mix: FaultMix, *, notice: float | None) -> list[Schedule]:
        """Those that are to be played again, the simplest first.

        Args:
            mix: the faults that were asked for: a client is not held to others.
            notice: None if, besides, no flow is to die without a word that nobody named.
        """
        if self._database is None:
            return []
        try:
            values = list(self._database.fetch(self._key))
        except Exception as error:
            reason = f"what was lost before could not be read from the example database: {error_words(error)}"
            warnings.warn(reason, UserWarning, stacklevel=4)
            return []
        read = (schedule for value in values if (schedule := _read(value)) is not None)
        asked = Asked(mix.faults)
        mine = [
            one
            for one in dict.fromkeys(read)
            if all(asked.allows(step.fault) for step in one if isinstance(step, Break))
            and not (notice is None and mix.faults == ALL and has_dead_flow(one))
        ]
        return sorted(mine, key=complexity)[:_MOST]

    def save(self, schedule: Schedule) -> str:
        """Save one that has lost something; what kept it from being saved, in a sentence, or nothing."""
        if self._database is not None:
            try:
                self._database.save(self._key, _written(schedule))
            except Exception as error:
                return f"It was not saved in the example database: {error_words(error)}"
        return ""

    def drop(self, schedule: Schedule) -> None:
        """Remove one, if the database lets us."""
        if self._database is not None:
            with contextlib.suppress(Exception):
                self._database.delete(self._key, _written(schedule))


def _database() -> ExampleDatabase | None:
    if _forgetful:
        return None
    with contextlib.suppress(ValueError):  # somebody put None into sys.modules
        if importlib.util.find_spec("hypothesis") is not None:
            from hypothesis import settings

            return settings.default.database  # type: ignore[union-attr, unused-ignore]
    return None


def _written(schedule: Schedule) -> bytes:
    return json.dumps(schedule.to_json(), sort_keys=True, separators=(",", ":")).encode()


def _read(value: bytes) -> Schedule | None:
    try:
        return Schedule.from_json(json.loads(value))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def name_of(open_store: object, promise: str) -> str:
    """What a saved schedule is an example of, in words that are the same on every machine."""
    return f"{_named(open_store)}, {promise!r}"


def _named(what: object, *, arguments: bool = True) -> str:
    if isinstance(what, functools.partial):
        given = [repr(_word(one)) for one in what.args if isinstance(one, _PLAIN)]
        given += [f"{name}={_word(one)!r}" for name, one in what.keywords.items() if isinstance(one, _PLAIN)]
        return f"{_named(what.func)}({', '.join(given)})" if arguments else _named(what.func)
    if isinstance(what, ProcessStore):
        return f"ProcessStore({[_word(word) for word in what.command]})"
    named = what if hasattr(what, "__qualname__") else type(what)
    module = getattr(named, "__module__", None) or ""
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or module).stem
    return f"{module}.{named.__qualname__}"


def _word(word: object) -> object:
    """Where a program or a file stands differs from machine to machine; what it is called does not."""
    return PurePath(word).name if isinstance(word, str) and "/" in word else word
