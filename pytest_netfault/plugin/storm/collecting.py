"""Which tests of a session are learned, and which items that makes: what ``-k``, ``--lf`` and ids ask for.

A storm item exists once its test is learned, which costs a run of it. So tests that nobody asks for are not learned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_netfault.plugin.storm.items import StandIn, Wish, stand_in, wishes
from pytest_netfault.storm.places import FAULTS, Place

Chosen = TypeVar("Chosen", bound=pytest.Item)

__all__ = ["Wanted", "only_looks", "selected"]

# Words of -k that name storm items and not their tests, and numbers of exchanges.
_STORM_WORDS = re.compile(r"\b(?:storm|up|down|inside|fin|rst|silence|forget)\b|\d+")
# With these nothing is run.
_LOOKS = ("setuponly", "setupplan", "showfixtures", "show_fixtures_per_test")


class Wanted:
    """What a session asks for by name.

    Args:
        config: of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ids: list[Wish] = []
        self._failed: list[Wish] = []
        self._added: dict[
            str, Any
        ] = {}  # the tests of items that failed, and the keys that pytest finds them by

    def read(self) -> None:
        """Before the collection: ids of storm items on the command line become those of their tests.

        Of ``--lf`` the tests of items that failed are collected as well, which pytest would not do.
        """
        config = self._config
        self._ids = wishes(config.invocation_params.dir, config.args)
        if self._ids:
            config.args[:] = list(dict.fromkeys(_test_of(arg) for arg in config.args))
        failed = self._last_failed()
        self._failed = wishes(config.rootpath, map(str, failed))
        for key in list(failed):
            test = _test_of(str(key))
            # pytest 9.2 keeps objects, pytest before it texts.
            wanted = test if isinstance(key, str) else type(key).parse(test)
            if test != str(key) and wanted not in failed:
                failed[wanted] = True
                self._added[test] = wanted

    def _last_failed(self) -> dict[Any, bool]:
        """What failed last time, as pytest keeps it; empty without ``--lf``."""
        plugin: Any = self._config.pluginmanager.get_plugin("lfplugin")
        failed = getattr(plugin, "lastfailed", None)
        return failed if isinstance(failed, dict) and self._config.getoption("lf", False) else {}

    def choose(
        self, items: list[pytest.Item], collected: Sequence[pytest.Item]
    ) -> list[tuple[pytest.Item, list[Place] | None]]:
        """The tests to learn, and the places that were asked for; None for those of a plan.

        Args:
            items: what is left after ``-k`` and ``-m``; tests that only a storm item needs are taken out.
            collected: what was there before.
        """
        failed = self._last_failed()
        for key in self._added.values():
            failed.pop(key, None)
        asked: dict[pytest.Item, list[Place]] = {}
        for wish in [*self._ids, *self._failed]:
            for item in collected:
                if wish.is_of(item):
                    asked.setdefault(item, []).append(wish.place)
        by_id = {item for wish in self._ids for item in collected if wish.is_of(item)}
        items[:] = [item for item in items if item not in by_id and item.nodeid not in self._added]
        if self._failed:
            return list(asked.items())
        left = set(items)
        others = [item for item in collected if item not in left and item not in asked]
        left.update(self._by_words(others))
        return [(item, asked.get(item)) for item in collected if item in left or item in asked]

    def _by_words(self, tests: Sequence[pytest.Item]) -> set[pytest.Item]:
        """Those of the tests that ``-k`` leaves out, of which it wants items of a storm all the same.

        What items they will have is not known yet, so one of each kind stands for them.
        """
        found = _STORM_WORDS.findall(str(self._config.getoption("keyword", "") or ""))
        if not tests or not found:
            return set()
        numbers = tuple(word for word in found if word.isdigit())
        kinds = [
            ("storm", way, fault, *inside, *digits)
            for way in ("up", "down")
            for fault in FAULTS
            for inside in ((), ("inside",))
            for digits in ((), numbers)
        ]
        stand_ins = [stand_in(test, kind) for test in tests for kind in kinds]
        wanted = {one.original for one in selected(tests[0].session, stand_ins)}
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        stats = getattr(terminal, "stats", {})
        if "deselected" in stats:  # nobody has asked for those
            stats["deselected"] = [one for one in stats["deselected"] if not isinstance(one, StandIn)]
        return wanted


def only_looks(session: pytest.Session) -> bool:
    """Whether nothing is going to run."""
    config = session.config
    broken = session.testsfailed and not config.getoption("continue_on_collection_errors", False)
    return bool(broken) or any(config.getoption(name, False) for name in _LOOKS)


def selected(session: pytest.Session, items: Iterable[Chosen]) -> list[Chosen]:
    """Those that ``-k``, ``-m`` and ``--deselect`` leave, by pytest's own judgement."""
    manager = session.config.pluginmanager
    others = [
        plugin for name, plugin in manager.list_name_plugin() if plugin and name not in ("mark", "main")
    ]
    left = list(items)
    hook = manager.subset_hook_caller("pytest_collection_modifyitems", remove_plugins=others)
    hook(session=session, config=session.config, items=left)
    return left


def _test_of(nodeid: str) -> str:
    """The id of the test, if this is one of a storm item."""
    found = wishes(Path(), [nodeid])
    return f"{nodeid.partition('::')[0]}::{found[0].names}" if found else nodeid
