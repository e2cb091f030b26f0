"""Writes ``docs/licences.md``: what each extra installs, and under which licence, as the packages themselves say it.

    python docs/licences.py            # in an environment that has the extra "all"

The versions are those of the environment; which packages belong to an extra is read from their metadata.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).with_name("licences.md")
OURS = "pytest-netfault"
HEAD = """# Licences

pytest-netfault and etcd-runtime-config are under the MIT licence. What they install is other people's; this is what
their packages say of themselves, on Linux with Python {python}. An older Python needs a few packages more, and a newer
release of a package may say something else. Made by `python docs/licences.py`.

| package | version | licence | comes with |
|---|---|---|---|
"""


def brings(name: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """The distributions that an installation of this one with these extras brings, itself included."""
    found: dict[str, Distribution] = {}
    waiting = [(name, extras)]
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        asked = waiting.pop()
        if asked in done:
            continue
        done.add(asked)
        one = found.setdefault(canonical(asked[0]), distribution(asked[0]))
        for text in one.requires or ():
            requirement = Requirement(text)
            environments = [{"extra": extra} for extra in sorted(asked[1])] or [{"extra": ""}]
            if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return found


def canonical(name: str) -> str:
    """A name as an index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(one: Distribution) -> str:
    """What a package says of itself: its expression, or its classifiers, or the first line of what it wrote."""
    said = one.metadata.get("License-Expression")
    if said:
        return str(said)
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in one.metadata.get_all("Classifier", [])
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    if classifiers:
        return ", ".join(classifiers)
    return (str(one.metadata.get("License") or "").strip().splitlines() or ["not stated"])[0]


def table() -> str:
    """The page."""
    extras = [extra for extra in distribution(OURS).metadata.get_all("Provides-Extra", []) if extra != "all"]
    core = brings(OURS)
    comes: dict[str, list[str]] = {name: ["the core"] for name in core}
    found = dict(core)
    for extra in extras:
        for name, one in brings(OURS, frozenset({extra})).items():
            if name not in core:
                comes.setdefault(name, []).append(f"`{extra}`")
                found[name] = one
    rows = [
        f"| {name} | {found[name].version} | {licence(found[name])} | {', '.join(with_)} |\n"
        for name, with_ in sorted(comes.items())
        if name not in (OURS, "etcd-runtime-config")
    ]
    return HEAD.format(python=".".join(map(str, sys.version_info[:2]))) + "".join(rows)


if __name__ == "__main__":
    try:
        PAGE.write_text(table(), encoding="utf-8")
    except PackageNotFoundError as missing:
        sys.exit(f"{missing.name} is not installed: pip install 'pytest-netfault[all]'")
