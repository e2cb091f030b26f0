"""The machinery of the gallery, with a toy: what is played, and that the page says what was played and nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault import Cut, verify
from pytest_netfault.proof.shards import Shard
from pytest_netfault.proof.sweep import places
from pytest_netfault.servers import ServerNotFound

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "docs" / "gallery"


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that imports a module of the gallery."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"docs.gallery.{name}")


@pytest.fixture
def results() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in (GALLERY / "results").glob("*.json")}


def test_a_row_has_a_store_that_its_users_would_write_and_says_what_is_promised(gallery: Any) -> None:
    rows = gallery("rows").ROWS
    assert {row.name for row in rows} == {path.stem for path in (GALLERY / "stores").glob("*.py")}
    for row in rows:
        sources = [GALLERY / "stores" / f"{row.name}.py"]
        if row.program:
            sources.append(ROOT / "docs" / "examples" / "languages" / row.program)
        for source in sources:
            assert len(source.read_text("utf-8").splitlines()) <= 60, source
        assert row.place, row.name
        module, *functions = row.server
        server = (GALLERY / "servers" / f"{module}.py").read_text("utf-8")
        for function in functions:
            assert f"\ndef {function}(" in server, row.name


@pytest.mark.parametrize(
    ("manifest", "text", "client"),
    [
        ("go.mod", "module store\n\nrequire (\n\tx.org/y v0.1.0\n\tx.org/y/v3 v3.7.3\n)\n", "x.org/y/v3"),
        ("go.mod", "module store\n\nrequire x.org/y/v3 v3.7.3\n", "x.org/y/v3"),
        ("package-lock.json", '{"packages": {"node_modules/redis": {"version": "3.7.3"}}}', "redis"),
        ("pom.xml", "<artifactId>core</artifactId>\n      <version>3.7.3</version>", "core"),
    ],
)
def test_the_version_of_a_program_is_the_one_that_its_manifest_pins(
    gallery: Any, tmp_path: Path, manifest: str, text: str, client: str
) -> None:
    (tmp_path / manifest).write_text(text)
    pinned = dataclasses.replace(gallery("rows").ROWS[0], client=client, manifest=manifest)
    assert gallery("versions").version_of(pinned, tmp_path) == "3.7.3"
    with pytest.raises(LookupError):
        gallery("versions").version_of(dataclasses.replace(pinned, client="another"), tmp_path)


def test_a_played_program_is_of_the_version_that_is_pinned(gallery: Any, results: Any) -> None:
    for row in gallery("rows").ROWS:
        if row.manifest and row.name in results:
            assert results[row.name]["client"] == f"{row.client} {gallery('versions').version_of(row)}"


def test_a_defect_is_reduced_to_a_script_that_a_maintainer_believes() -> None:
    scripts = list((GALLERY / "reduced").glob("*.*"))
    assert {script.suffix for script in scripts} == {".py", ".java"}
    for script in scripts:
        text = script.read_text("utf-8")
        assert len(text.splitlines()) <= 30
        assert "pytest_netfault" not in text


def test_the_page_says_what_was_played(gallery: Any, results: Any) -> None:
    rows = gallery("rows").ROWS
    assert set(results) <= {row.name for row in rows}
    page = (GALLERY / "index.md").read_text("utf-8")
    assert page == gallery("page").page(rows, results), "python -m docs.gallery.run --page writes it"
    for row in rows:
        assert (f"## {row.title}\n" in page) == (row.name in results)
    for row in rows:
        if row.name in results and gallery("page").verdict(results[row.name]) == "broken":
            assert row.instead, f"{row.name} loses, and nothing is said of what to do instead"


class Swept:
    """A sweep that takes some time for each of its shares, without the time."""

    def __init__(self, gallery: Any, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.asked: list[str] = []
        self._now, self._seconds = 0.0, seconds
        self.proving = {f"{number}/5" for number in range(1, 6)}
        shares = gallery("shares")
        monkeypatch.setattr(shares.time, "monotonic", lambda: self._now)
        monkeypatch.setattr(shares.verify, "sweep", self.sweep)

    def sweep(self, _open_store: Any, _server: Any, *, shard: str, **_how: Any) -> Any:
        self.asked.append(shard)
        self._now += self._seconds
        report = verify.Report(10, 1, 9, self._seconds, 50, seed=1, sweep="connection 1")
        if shard not in self.proving:
            raise verify.ProvedNothing("nothing", report=report)
        return report


@pytest.mark.parametrize(
    ("seconds", "shares", "words"),
    [
        (4.9, 5, "seed 1"),
        (8.0, 3, "seed 1, 3 of 5 shares of all places"),
        (99.0, 1, "seed 1, 1 of 5 shares of all places"),
    ],
)
def test_a_sweep_is_played_as_far_as_its_time_goes_and_says_how_far(
    gallery: Any, monkeypatch: pytest.MonkeyPatch, seconds: float, shares: int, words: str
) -> None:
    swept = Swept(gallery, monkeypatch, seconds)
    report = gallery("shares").sweep_in_shares(object, object, 25.0)
    assert swept.asked == [f"{number}/5" for number in range(1, shares + 1)]
    assert report.examples == 10 * shares
    assert report.wall_seconds == pytest.approx(seconds * shares)
    assert str(report).endswith(words)


def test_shares_that_prove_nothing_are_counted_and_all_of_them_are_none(
    gallery: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = Swept(gallery, monkeypatch, 1.0)
    swept.proving = {"2/5"}
    assert gallery("shares").sweep_in_shares(object, object, 25.0).inconclusive == 5
    swept.proving = set()
    with pytest.raises(verify.ProvedNothing):
        gallery("shares").sweep_in_shares(object, object, 25.0)


def test_a_share_has_places_of_both_endings_from_the_first_byte_to_the_last(gallery: Any) -> None:
    of = gallery("shares").SHARES
    share = places({1: (100, 100)}, direction="both", stride=1, how=("fin", "rst"), shard=Shard(1, of))
    for way in ("up", "down"):
        for how in ("fin", "rst"):
            positions = [one.position for one in share if (one.direction, one.how) == (way, how)]
            assert {later - one for one, later in itertools.pairwise(positions)} == {of}


def test_recoveries_that_are_cut_short_have_tried_all_ways_and_far_positions(gallery: Any) -> None:
    play = gallery("play")
    quarter = list(play.recoveries(play.RECOVERY_PLACES))[:12]
    cuts = [step.fault for one in quarter for step in one if getattr(step, "fault", None).__class__ is Cut]
    assert {(cut.direction, cut.how) for cut in cuts} == {
        (way, how) for way in ("up", "down") for how in ("fin", "rst")
    }
    assert {cut.after_bytes for cut in cuts} == {0, 4, 64}


def test_a_recovery_is_played_in_any_case_and_no_other_when_the_time_is_up(gallery: Any) -> None:
    from support.mutants import toy

    play = gallery("play")
    budget = play.Budget(places=(0, 24), row_seconds=0.0, sweep_seconds=0.0)
    options = {"promise": "every-event", "settle": 0.5, "notice": 5.0, "stride": 60, "parts": ["recovery"]}
    with toy.ToyServer() as server:
        played = play.play(toy.RightStore, server, budget=budget, **options)["recovery"]
    assert (played.verdict, played.tried) == ("kept", 1)
    assert played.figures == "nothing lost at 1 of 8 places, 0 inconclusive"


@pytest.mark.slow
@pytest.mark.parametrize(("flaw", "verdict"), [(False, "kept"), (True, "broken")])
def test_a_row_is_played_four_times(gallery: Any, flaw: bool, verdict: str) -> None:
    from support.mutants import toy

    class FromNow(toy.RightStore):
        def resume_at(self) -> int | None:
            return None

        def on_events(self, revision: int, changes: Any) -> None:
            self.next = 0
            super().on_events(revision, changes)

    play = gallery("play")
    budget = play.Budget(examples=3, seconds=4, places=(0, 24))
    options = {"promise": "every-event", "settle": 0.5, "notice": 5.0, "stride": 60}
    with toy.ToyServer() as server:
        played = play.play(FromNow if flaw else toy.RightStore, server, budget=budget, **options)
    assert list(played) == ["proof", "dead flow", "first connection", "recovery"]
    assert played["proof"].verdict == verdict
    assert played["recovery"].verdict == verdict
    result = {name: one.to_json() for name, one in played.items()}
    assert gallery("page").verdict(result) == verdict
    if flaw:
        assert played["proof"].schedule.startswith("Schedule([")


def test_what_a_client_raises_is_no_verdict_on_it(gallery: Any) -> None:
    from support.mutants import toy

    def broken(_address: str) -> Any:
        raise OSError("no such host")

    play = gallery("play")
    options = {"promise": "every-event", "settle": 0.5, "notice": 5.0, "stride": 60}
    with toy.ToyServer() as server:
        played = play.play(broken, server, budget=play.Budget(places=(0,)), **options)
    assert {one.verdict for one in played.values()} == {"failed"}
    assert played["proof"].figures == "OSError: no such host"


@pytest.mark.slow
def test_a_dead_flow_is_played_by_itself_and_always_waited_for(gallery: Any) -> None:
    from support.mutants import toy

    class Deaf(toy.RightStore):
        idle_seconds = None

    play = gallery("play")
    budget = play.Budget(examples=1, seconds=1)
    options = {"promise": "every-event", "settle": 0.5, "notice": 2.0, "stride": 60, "parts": play.PARTS[:2]}
    with toy.ToyServer() as server:
        right, deaf = (
            play.play(one, server, budget=budget, alone=True, **options) for one in (toy.RightStore, Deaf)
        )
    assert "dead flow" not in right["proof"].figures
    assert "1 dead flow noticed" in right["dead flow"].figures
    assert (deaf["proof"].verdict, deaf["dead flow"].verdict) == ("kept", "broken")


def test_a_long_proof_counts_for_the_verdict_where_it_was_played(gallery: Any) -> None:
    parts = {part: {"verdict": "kept"} for part in gallery("play").PARTS}
    assert gallery("page").verdict(parts) == "kept"
    assert gallery("page").verdict({**parts, gallery("play").LONG: {"verdict": "broken"}}) == "broken"


def test_what_a_row_needs_is_built_once(
    gallery: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETFAULT_BUILDS", str(tmp_path))
    built, made = gallery("servers.built"), []
    for recipe in ("1", "1", "2"):
        folder = built.build("toy", recipe, lambda folder: made.append(folder))
        assert folder.is_dir()
    assert len(made) == 2


def test_a_build_that_takes_long_says_so_at_once(
    gallery: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gallery("servers.built").run(tmp_path, "true", announce="building it, which takes long")
    assert capfd.readouterr().err == "building it, which takes long\n"


def test_a_row_whose_server_cannot_be_built_is_skipped_with_the_reason(
    gallery: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SimpleNamespace(open_store=None)  # its client need not be installed
    monkeypatch.setitem(sys.modules, "docs.gallery.stores.kubernetes_watch", store)
    monkeypatch.setattr("logging.disable", lambda _level: None)
    monkeypatch.setattr("threading.excepthook", threading.excepthook)  # it is set
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text("#!/bin/sh\necho 'no route to the modules' >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NETFAULT_BUILDS", str(tmp_path / "builds"))
    run = gallery("run")
    row = next(one for one in gallery("rows").ROWS if one.name == "kubernetes_watch")
    assert run._play_here(row, gallery("play").Budget(), gallery("play").PARTS) == run.SKIPPED
    assert capsys.readouterr().out == (
        "kubernetes_watch: go mod download -json k8s.io/kubernetes@v1.36.3 failed: no route to the modules\n\n"
    )


def test_what_cannot_be_built_is_a_reason_to_skip(
    gallery: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETFAULT_BUILDS", str(tmp_path))
    built = gallery("servers.built")
    with pytest.raises(ServerNotFound, match="toy cannot be built: no-such-tool is not installed"):
        built.build("toy", "1", lambda _: None, "no-such-tool")
    with pytest.raises(ServerNotFound, match="failed: no such file"):
        built.build("toy", "1", lambda folder: built.run(folder, "sh", "-c", "echo no such file; exit 1"))
    with pytest.raises(ServerNotFound, match="had not ended after 0 s"):
        built.build("toy", "1", lambda folder: built.run(folder, "sleep", "60", longest=0.1))
    assert not list(tmp_path.glob("toy-*"))
