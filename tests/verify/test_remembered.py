"""What a proof has lost is in the example database of Hypothesis, and is played first the next time."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    ExampleDatabase,
    InMemoryExampleDatabase,
    MultiplexedDatabase,
    ReadOnlyDatabase,
)
from support.mutants import toy

from pytest_netfault import Break, ProcessStore, Reset, Schedule, Sever, Subscribe, Write, verify
from pytest_netfault.proof import remembered
from pytest_netfault.schedules.generate import ALL, FaultMix

LOSES = Schedule([Subscribe(), Break(Sever()), Write("a")])
MIX = FaultMix(ALL)


class FromNowOn(toy.RightStore):
    """When it comes back it watches from then on: the classic mistake."""

    def resume_at(self) -> None:
        return None


class Profiles:
    """Profiles of Hypothesis, one after another, as several machines would have them."""

    def use(self, database: ExampleDatabase | None) -> None:
        hypothesis.settings.register_profile("of a machine", hypothesis.settings.default, database=database)
        hypothesis.settings.load_profile("of a machine")


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Profiles]:
    monkeypatch.setattr(remembered, "_forgetful", 0)
    yield Profiles()
    hypothesis.settings.load_profile("netfault")


def search(
    server: Any, store: Any = FromNowOn, **more: Any
) -> tuple[verify.Report | verify.UpdateLost, list[verify.Progress]]:
    """A proof of very few examples, and its progress."""
    seen: list[verify.Progress] = []
    how = {"max_examples": 1, "settle": 0.3, "notice": None, "seed": 5, "lanes": 1, **more}
    try:
        return verify.no_update_lost(store, server, progress=seen.append, **how), seen
    except verify.UpdateLost as lost:
        return lost, seen


def save(database: ExampleDatabase, *schedules: Schedule, store: Any = FromNowOn) -> remembered.Remembered:
    one = remembered.Remembered(store, toy.ToyServer, "every-event")
    for schedule in schedules:
        database.save(
            one._key, json.dumps(schedule.to_json(), sort_keys=True, separators=(",", ":")).encode()
        )
    return one


def values(database: InMemoryExampleDatabase) -> set[bytes]:
    return {value for all_of_them in database.data.values() for value in all_of_them}


@pytest.mark.slow
def test_what_ci_has_lost_is_played_first_on_a_laptop(
    server: Any, profiles: Profiles, tmp_path: Path
) -> None:
    """A folder that both can read, as the artifact that a job uploads, beside the laptop's own database."""
    shared = tmp_path / "uploaded"
    profiles.use(DirectoryBasedExampleDatabase(shared))
    found, _ = search(server, max_examples=30, max_seconds=2.0)
    assert isinstance(found, verify.UpdateLost)
    own = InMemoryExampleDatabase()
    profiles.use(MultiplexedDatabase(own, ReadOnlyDatabase(DirectoryBasedExampleDatabase(shared))))
    again, seen = search(server, seed=6, max_seconds=2.0)
    assert isinstance(again, verify.UpdateLost)
    assert (seen[0].stage, seen[0].schedule, seen[0].failed) == ("again", found.schedule, True)
    assert "Played again from the database: example of" in _line(str(again))
    assert len(values(own)) == 1, "it is the laptop's own now"


def test_what_was_lost_is_told_as_such(server: Any, profiles: Profiles) -> None:
    database = InMemoryExampleDatabase()
    save(database, LOSES)
    profiles.use(database)
    lost, seen = search(server)
    assert isinstance(lost, verify.UpdateLost)
    assert lost.schedule == LOSES
    assert [one.stage for one in seen] == ["again"]
    assert f"Played again from the database: example of {__name__}.FromNowOn, 'every-event'" in _line(
        str(lost)
    )
    assert len(values(database)) == 1


def _line(text: str) -> str:
    return " ".join(text.split())


def test_with_no_database_in_the_settings_nothing_is_read(server: Any, profiles: Profiles) -> None:
    database = InMemoryExampleDatabase()
    save(database, LOSES, store=toy.RightStore)
    profiles.use(None)
    assert [one.stage for one in search(server, toy.RightStore)[1]] == ["playing"]


def test_one_that_loses_nothing_any_more_is_dropped_and_blames_nobody(
    server: Any, profiles: Profiles
) -> None:
    database = InMemoryExampleDatabase()
    save(database, LOSES, store=toy.RightStore)
    profiles.use(database)
    report, seen = search(server, toy.RightStore)
    assert isinstance(report, verify.Report)
    assert [one.stage for one in seen] == ["again"] * 3 + ["playing"]
    assert (report.examples, report.played_again) == (1, 1)
    assert "1 example of the database played again" in str(report)
    assert not values(database)


def test_one_that_could_not_be_judged_stays(profiles: Profiles) -> None:
    database = InMemoryExampleDatabase()
    save(database, LOSES, store=toy.RightStore)
    profiles.use(database)
    with pytest.raises((verify.ProvedNothing, TimeoutError, OSError)):
        verify.no_update_lost(toy.RightStore, _Gone(), max_examples=1, settle=0.3, notice=None)  # type: ignore[arg-type]
    assert len(values(database)) == 1


class _Gone:
    """A server that is not there, with the key of the one that was."""

    address = "127.0.0.1:9"

    def revision(self) -> int:
        raise ConnectionRefusedError

    def log(self, _: int) -> list[Any]:
        raise ConnectionRefusedError


_Gone.__module__, _Gone.__qualname__ = toy.ToyServer.__module__, toy.ToyServer.__qualname__


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"{}", b'{"steps": [{"do": "fly"}]}', b"[" * 100_000], ids=range(5)
)
def test_a_damaged_entry_is_ignored(profiles: Profiles, value: bytes) -> None:
    database = InMemoryExampleDatabase()
    one = save(database, LOSES)
    database.save(one._key, value)
    profiles.use(database)
    assert remembered.Remembered(FromNowOn, toy.ToyServer, "every-event").schedules(MIX, notice=None) == [
        LOSES
    ]


def test_a_client_is_not_held_to_faults_that_nobody_asked_for(profiles: Profiles) -> None:
    database = InMemoryExampleDatabase()
    profiles.use(database)
    one = save(database, LOSES)
    assert one.schedules(MIX, notice=None) == [LOSES]
    assert one.schedules(FaultMix((Reset,)), notice=None) == []


def test_a_database_that_fails_hides_no_loss(server: Any, profiles: Profiles) -> None:
    class Full(InMemoryExampleDatabase):
        full = False

        def save(self, key: bytes, value: bytes) -> None:
            if self.full:
                raise OSError("no space left on device")
            super().save(key, value)

    database = Full()
    save(database, LOSES)
    database.full = True
    profiles.use(database)
    lost, _ = search(server)
    assert isinstance(lost, verify.UpdateLost)
    assert str(lost).endswith("It was not saved in the example database: OSError: no space left on device")


def test_in_the_workers_of_an_executor_too(profiles: Profiles) -> None:
    database = InMemoryExampleDatabase()
    save(database, LOSES)
    profiles.use(database)
    with ThreadPoolExecutor(1) as pool:
        lost, _ = search(toy.ToyServer, executor=pool)
    assert isinstance(lost, verify.UpdateLost)
    assert lost.schedule == LOSES
    assert "Played again from the database" in str(lost)


def test_each_of_several_parts_plays_some(server: Any, profiles: Profiles) -> None:
    database = InMemoryExampleDatabase()
    save(database, LOSES, store=toy.RightStore)
    profiles.use(database)
    assert [one.stage for one in search(server, toy.RightStore, shard="2/2", max_examples=2)[1]] == [
        "playing"
    ]
    assert values(database)
    assert search(server, toy.RightStore, shard="1/2", max_examples=2)[1][0].stage == "again"


@pytest.mark.parametrize(
    ("store", "name"),
    [
        (toy.RightStore, "support.mutants.toy.RightStore"),
        (functools.partial(open, "/home/me/x.txt", mode="r"), "io.open('x.txt', mode='r')"),
        (
            ProcessStore([sys.executable, "store.py"]),
            f"ProcessStore(['{Path(sys.executable).name}', 'store.py'])",
        ),
        (Profiles(), f"{__name__}.Profiles"),
    ],
    ids=["class", "partial", "process", "object"],
)
def test_the_name_of_a_client_is_the_same_on_every_machine(store: Any, name: str) -> None:
    assert remembered.name_of(store, "latest-value") == f"{name}, 'latest-value'"
