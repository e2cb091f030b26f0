"""Faults as JSON and back, and the classes of faults by their names."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_netfault.faults.arguments import shown
from pytest_netfault.faults.base import (
    Fault,
    fields_of,
    has_no_default,
    is_built_in,
    is_default,
    limit_names,
    subclasses,
)
from pytest_netfault.faults.connections import Refuse, Reset, Sever, StallAccept
from pytest_netfault.faults.damage import Corrupt, Cut, Lose
from pytest_netfault.faults.frame import Frame
from pytest_netfault.faults.limits import connections_from_json, connections_to_json
from pytest_netfault.faults.pace import Delay, Slice, Throttle
from pytest_netfault.faults.silence import Blackhole, Forget

__all__ = ["FAULTS", "MissingFault", "fault_from_json", "fault_to_json"]

# The order is part of what a seed means: a new one comes last.
FAULTS: tuple[type[Fault], ...] = (
    Sever,
    Reset,
    Refuse,
    Blackhole,
    Delay,
    Throttle,
    Slice,
    Corrupt,
    Lose,
    Cut,
    StallAccept,
    Forget,
)

_BY_NAME = {kind.__name__.lower(): kind for kind in FAULTS}
# Read as well, and never written: who knows the method writes its name.
_BY_METHOD = {"stall_accept": StallAccept}


def _name_of(kind: type[Fault]) -> str:
    """What JSON calls a class of faults: ours by one lower-case word, those of others by module and name."""
    return kind.__name__.lower() if is_built_in(kind) else f"{kind.__module__}:{kind.__qualname__}"


def fault_to_json(fault: Fault, *, text_ok: bool = False) -> dict[str, Any]:
    """The fault as a JSON object: its name and the arguments that are not the defaults.

    A fault of your own is named by its module and class, so that whoever reads it can have imported the class.

    Args:
        fault: what to write.
        text_ok: write a fault of your own that could not be read back as its name and its expression, for reports.

    Raises:
        TypeError: it is a fault of your own that could not be read back; the message says why.

    >>> from pytest_netfault.faults import Cut
    >>> fault_to_json(Cut(7, how="rst"))
    {'fault': 'cut', 'after_bytes': 7, 'how': 'rst'}
    """
    if isinstance(fault, MissingFault):
        shown_as = {_EXPRESSION: fault.expression} if fault.expression and text_ok else {}
        return {"fault": fault.name, **json.loads(fault.arguments), **shown_as}
    made: dict[str, Any] = {"fault": _name_of(type(fault))}
    for field in fields_of(type(fault)):
        value = getattr(fault, field.name, None)
        if not is_default(field, value):
            made[field.name] = connections_to_json(value) if _is_numbers(type(fault), field.name) else value
            if isinstance(value, Frame):
                made[field.name] = value.to_json()
    if not is_built_in(type(fault)):
        try:
            _check_read_back(fault, made)
        except TypeError:
            if not text_ok:
                raise
            return {"fault": made["fault"], _EXPRESSION: repr(fault)}
    return made


def _check_read_back(fault: Fault, made: dict[str, Any]) -> None:
    cannot = f"{shown(fault)} cannot be written as JSON"
    for name, value in made.items():
        _check_json(value, f"{cannot}: its {name} is {shown(value)}; {_JSON_HOLDS}")
    read = json.loads(json.dumps(made))
    try:
        again = fault_from_json(read)
    except ValueError as error:
        raise TypeError(f"{cannot}: {error}") from error
    if again != fault:
        for name, value in made.items():
            if read[name] != value:
                raise TypeError(f"{cannot}: its {name} would come back as {shown(read[name])}; {_JSON_HOLDS}")
        raise TypeError(f"{cannot}: what is read back is not equal to it; make it a frozen dataclass")


def _is_numbers(kind: type[Fault], name: str) -> bool:
    """Whether an argument is the limit that names connections."""
    return name == "connections" and name in limit_names(kind)


def _check_json(value: object, message: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(message) from error


# How JSON names the expression of a fault that cannot be read back: no argument of a fault can be called that.
_EXPRESSION = "shown as"

_JSON_HOLDS = "JSON holds text, finite numbers, True, False, None, and lists and dicts of them"


def _kind_named(name: object) -> type[Fault]:
    """The class that a name in JSON stands for."""
    if isinstance(name, str) and name in _BY_METHOD:
        return _BY_METHOD[name]
    if not isinstance(name, str) or (":" not in name and name not in _BY_NAME):
        raise ValueError(f"fault must be one of {', '.join(sorted(_BY_NAME))}, not {shown(name)}")
    if name in _BY_NAME:
        return _BY_NAME[name]
    found = _alive(lambda kind: _name_of(kind) == name)
    if not found:  # the file may have been run as a program, or imported by another path
        called = name.partition(":")[2]
        found = _alive(lambda kind: not is_built_in(kind) and kind.__qualname__ == called)
    if not found:
        raise ValueError(
            f"there is no fault {shown(name)} in this process; import the module that defines its class first"
        )
    if len(found) > 1:
        raise ValueError(
            f"{len(found)} classes of faults are called {shown(name)}; give each a name of its own"
        )
    return found[0]


def _alive(meant: Callable[[type[Fault]], bool]) -> list[type[Fault]]:
    def look() -> list[type[Fault]]:
        alive = (kind for reference in list(subclasses) if (kind := reference()) is not None)
        # dataclass(slots=True) makes a second class with the methods of the first, which nobody uses any more.
        return list({id(kind.__init__): kind for kind in alive if meant(kind)}.values())

    if len(found := look()) > 1:  # a class is garbage only once the collector has seen it
        del found
        gc.collect()
        return look()
    return found


@dataclass(frozen=True, repr=False)
class MissingFault(Fault):
    """A fault of somebody's own whose class is not in this process: it can be shown and written again, not applied."""

    name: str
    arguments: str
    expression: str = ""  # of one whose arguments JSON cannot hold

    def check(self) -> None:
        """See :meth:`.Fault.check`."""
        _kind_named(self.name)

    def __repr__(self) -> str:
        if self.expression:
            return self.expression
        given = ", ".join(f"{name}={value!r}" for name, value in json.loads(self.arguments).items())
        return f"{self.name.rpartition('.')[2].rpartition(':')[2]}({given})"


def fault_from_json(data: object, *, missing_ok: bool = False) -> Fault:
    """The fault that :func:`fault_to_json` wrote.

    Args:
        data: a JSON object.
        missing_ok: read a fault whose class is not in this process, too, as one that cannot be applied.

    Raises:
        ValueError: the object names no fault, or an argument that the fault does not have, or a value that
            it does not take.

    >>> fault_from_json({"fault": "blackhole", "direction": "up"})
    Blackhole(direction='up')
    """
    if not isinstance(data, dict):
        raise ValueError(f"a fault must be a JSON object, not {shown(data)}")
    arguments = dict(data)
    name = arguments.pop("fault", None)
    if missing_ok and isinstance(name, str) and isinstance(arguments.get(_EXPRESSION), str):
        return MissingFault(name, "{}", arguments[_EXPRESSION])
    try:
        kind = _kind_named(name)
    except ValueError:
        if missing_ok and isinstance(name, str) and ":" in name:
            return MissingFault(name, json.dumps(arguments))
        raise
    known = {field.name for field in fields_of(kind)}
    unknown = sorted(map(str, set(arguments) - known))
    if unknown:
        raise ValueError(
            f"{name} takes {', '.join(sorted(known)) or 'no arguments'}, not {', '.join(unknown)}"
        )
    if "connections" in arguments and _is_numbers(kind, "connections"):
        arguments["connections"] = connections_from_json(arguments["connections"])
    try:
        return kind(**arguments)
    except TypeError as error:
        needed = (field.name for field in fields_of(kind) if has_no_default(field))
        missing = [one for one in needed if one not in arguments]
        why = f"{' and '.join(missing)} must be given" if missing else error
        raise ValueError(f"{name}: {why}") from error
