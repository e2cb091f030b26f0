"""From a run to its picture: every lane, the blame, and the three sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.checks.guarantees import GUARANTEES
from pytest_netfault.checks.trace import Bookmarked, Compaction, Delivered, Failed, Resynced, TraceEvent
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Blackhole, Cut, Delay, Refuse, Reset, Sever
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.files import document, write_report
from pytest_netfault.proof.picture import picture
from pytest_netfault.proof.picture_cards import WRONG, focus
from pytest_netfault.proof.recording import FaultRecord, Remark, WriteRecord
from pytest_netfault.report.timeline import Mark, Timeline
from pytest_netfault.report.timeline_connections import connection_marks
from pytest_netfault.report.timeline_faults import fault_spans


def lane(timeline: Timeline, name: str) -> list[Mark]:
    return [mark for mark in timeline.marks if mark.lane == name]


def only(timeline: Timeline, name: str, tone: str) -> Mark:
    (mark,) = (mark for mark in lane(timeline, name) if mark.tone == tone)
    return mark


def card(timeline: Timeline, kind: str) -> Any:
    (found,) = (card for card in timeline.cards if card.kind == kind)
    return found


MakeRun = Callable[..., Run]


def test_the_lost_update_goes_from_its_write_to_where_it_should_have_arrived(make_run: MakeRun) -> None:
    drawn = picture(make_run(), seed=7)
    assert drawn.headline == "An update was lost: revision 3 never arrived"
    (lost,) = (flow for flow in drawn.flows if flow.lost)
    by_id = {mark.id: mark for mark in drawn.marks}
    assert [by_id[name].label for name in lost.marks] == ["put a = v5", "revision 3", "3 never arrived"]
    assert only(drawn, "store", "lost").start == pytest.approx(0.055)  # acknowledged: committed by then
    assert len(drawn.flows) == 3
    assert ("seed", "7") in drawn.facts
    assert drawn.facts[0][1].startswith("reliable: revision 3")
    assert drawn.ends == pytest.approx(1.0)


def test_the_three_sentences(make_run: MakeRun) -> None:
    drawn = picture(make_run())
    assert [one.kind for one in drawn.cards] == ["written", "broke", "missing"]
    assert card(drawn, "written").title == "put a = v5"
    assert "by another service" in card(drawn, "written").text
    assert "revision 3" in card(drawn, "written").text
    assert card(drawn, "broke").title == "Sever()"
    assert "from 40.0 ms to 100 ms" in card(drawn, "broke").text
    assert "closed connection #1 after 457 B up and 211 B down" in card(drawn, "broke").text
    assert card(drawn, "missing").title == "revision 3 never arrived"
    assert "got revision 2, and next revision 4" in card(drawn, "missing").text
    assert only(drawn, "faults", "culprit").id == card(drawn, "broke").mark


def test_nothing_afterwards_is_said(make_run: MakeRun) -> None:
    drawn = picture(make_run(handed=((100.03, Delivered((TraceEvent("put", "r17.a", "v2", 2),))),)))
    assert "then nothing until the end" in card(drawn, "missing").text
    assert "3, 4" in card(drawn, "missing").text


def test_a_run_that_loses_nothing_has_no_loss(make_run: MakeRun) -> None:
    handed = tuple(
        (100.03 + n / 10, Delivered((TraceEvent("put", f"r17.{key}", value, revision),)))
        for n, (key, value, revision) in enumerate([("a", "v2", 2), ("a", "v5", 3), ("b", "v7", 4)])
    )
    drawn = picture(make_run(handed=handed))
    assert drawn.headline == "Nothing was lost"
    assert drawn.cards == ()
    assert not any(flow.lost for flow in drawn.flows)
    assert not any(mark.tone in ("lost", "bad") for mark in drawn.marks)


def test_an_unknown_outcome_stays_open(make_run: MakeRun) -> None:
    unknown = WriteRecord(5, "link", (("r17.a", "v5"),), "info", 100.05, 100.15, "Timeout")
    hanging = WriteRecord(6, "link", (("r17.b", "v6"),), "info", 100.2, None)
    never = WriteRecord(7, "link", (("r17.b", "v8"),), "info", None, None)
    drawn = picture(make_run(writes=(unknown, hanging, never)))
    one, two, three = lane(drawn, "link")
    assert (one.end, one.known, one.tone) == (None, pytest.approx(0.15), "unknown")
    assert ("raised", "Timeout") in one.details
    assert (two.end, two.known) == (None, None)
    assert three.end == three.start
    assert "never made" in dict(three.details)["outcome"]
    # Revision 3 was there when revision 4 was delivered; that is all that is known.
    lost = only(drawn, "store", "lost")
    assert lost.start == pytest.approx(0.05)
    assert dict(lost.details)["committed"] == "between 50.0 ms and 300 ms"


def test_a_value_that_reads_like_an_item_is_shown_as_it_is(make_run: MakeRun) -> None:
    strange = TraceEvent("put", "r17.a", "item 0", 9)
    drawn = picture(make_run(handed=((100.1, Delivered((strange,))),)))
    assert "'item 0'" in dict(only(drawn, "arrived", "bad").details)["wrong"]
    said = next(text for name, text in drawn.facts if name == "broken" and text.startswith("phantom"))
    assert "(put 'a') came in item 0 with 'item 0'" in said
    assert said.endswith(" (the delivery at 100 ms)")


def test_what_is_told_wrong_is_shown_where_it_was_told(make_run: MakeRun) -> None:
    a, b, c = (
        TraceEvent("put", f"r17.{k}", v, r) for k, v, r in (("a", "v2", 2), ("a", "v5", 3), ("b", "v7", 4))
    )
    handed = tuple((100.1 + n / 100, Delivered((event,))) for n, event in enumerate((a, b, b, c)))
    drawn = picture(make_run(handed=handed))
    assert drawn.headline == "An update was delivered twice: revision 3"
    assert only(drawn, "arrived", "bad").start == pytest.approx(0.12)
    assert card(drawn, "missing").title == "an update was delivered twice"
    assert "came again in item 2 (the delivery at 120 ms)." in card(drawn, "missing").text
    assert "'unique'" in card(drawn, "missing").text
    by_id = {mark.id: mark for mark in drawn.marks}
    (again,) = (flow for flow in drawn.flows if flow.wrong)
    assert [by_id[name].start for name in again.marks] == pytest.approx([0.055, 0.12])
    assert card(drawn, "missing").mark == only(drawn, "arrived", "bad").id


def test_a_writer_that_was_told_something_wrong(make_run: MakeRun) -> None:
    handed = tuple(
        (100.1, Delivered((TraceEvent("put", f"r17.{k}", v, r),)))
        for k, v, r in (("a", "v2", 2), ("a", "v5", 3), ("b", "v7", 4))
    )
    lost = WriteRecord(3, "link", (("r17.c", "v9"),), "ok", 100.01, 100.02)
    drawn = picture(make_run(handed=handed, writes=(lost,)))
    assert drawn.headline == "An acknowledged write is not in the store"
    assert card(drawn, "written").title == "put c = v9"
    assert card(drawn, "missing").title == "an acknowledged write is not in the store"


def test_everything_that_a_subscriber_can_get_has_a_mark(make_run: MakeRun) -> None:
    handed = (
        (100.01, Resynced(1, {})),
        (100.02, Bookmarked(1)),
        (100.03, Resynced(4, {"r17.a": "v5", "r17.b": "v7"})),
        (100.04, Failed("compacted")),
    )
    drawn = picture(make_run(handed=handed))
    labels = [mark.label for mark in lane(drawn, "arrived")]
    for label in ("snapshot at 1", "all up to 1", "snapshot at 4", "error: not served any more"):
        assert label in labels


def test_a_cut_is_shaded_where_it_cuts_and_not_where_it_waits() -> None:
    events = (
        LinkEvent(10.0, "l", "fault", by="netfault", fault=Cut(9, how="rst"), fault_id=1),
        LinkEvent(11.0, "l", "hit", 1, "netfault", 9, 0, fault=Cut(9, how="rst"), fault_id=1),
        LinkEvent(11.5, "l", "rst", 1, "netfault", 9, 0, fault=Cut(9, how="rst"), fault_id=1),
    )
    (mark,) = (span.mark("f") for span in fault_spans(events, since=10.0, until=14.0))
    assert (mark.start, mark.end, mark.shade) == (0.0, 4.0, (1.0, 1.0))
    assert dict(mark.details)["what it did"] == "reset connection #1 after 9 B up and 0 B down"
    (waits,) = fault_spans(events[:1], since=10.0, until=14.0)
    assert waits.shade is None
    silent = [replace(event, fault=Cut(9, how="blackhole")) for event in events[:2]]
    (silence,) = fault_spans(silent, since=10.0, until=14.0)
    assert silence.shade == (1.0, 4.0)


def test_a_reset_is_a_moment_whenever_it_is_healed(make_run: MakeRun) -> None:
    drawn = picture(make_run(fault=Reset()))
    mark = only(drawn, "faults", "culprit")
    assert mark.end == mark.start
    assert mark.shade == (mark.start, mark.start)


@pytest.mark.parametrize("healed", [1, 2])
def test_of_two_faults_of_one_kind_the_one_that_was_healed_ends(healed: int) -> None:
    sever = [LinkEvent(n, "l", "fault", by="netfault", fault=Sever(), fault_id=n) for n in (1, 2)]
    heal = LinkEvent(3.0, "l", "heal", by="netfault", fault=Sever(), fault_id=healed)
    ends = [span.mark("f").end for span in fault_spans([*sever, heal], since=0.0, until=9.0)]
    assert ends == ([3.0, 9.0] if healed == 1 else [9.0, 3.0])


@pytest.mark.parametrize(("met", "did"), [(True, "met traffic"), (False, "met no traffic that was seen")])
def test_a_fault_whose_heal_says_that_it_met_traffic_has_met_it(met: bool, did: str) -> None:
    begins = LinkEvent(1.0, "l", "fault", by="netfault", fault=Refuse(), fault_id=1)
    heal = LinkEvent(2.0, "l", "heal", by="netfault", fault=Refuse(), fault_id=1, met=met)
    (span,) = fault_spans([begins, heal], since=0.0, until=9.0)
    assert dict(span.mark("f").details)["what it did"] == did


def test_of_two_equal_faults_each_is_drawn_with_what_it_did_itself(make_run: MakeRun) -> None:
    """They print the same, and so does what holds the link during a restart; only their numbers differ."""
    events = (
        *(
            LinkEvent(100.01 * number, "link", kind, fault=Delay(9), fault_id=number, by="netfault")
            for number in (1, 2, 3)
            for kind in ("fault", "heal")
        ),
    )
    run = replace(
        make_run(events=events),
        faults=(FaultRecord(4, Delay(9), False, 1), FaultRecord(4, Delay(9), False, 3)),
    )
    assert [mark.label for mark in lane(picture(run), "faults")] == ["Delay(9)", "Restart()", "Delay(9)"]


@pytest.mark.parametrize("fault", [Blackhole(), Cut(400, how="rst")])
def test_what_the_fault_does_is_said_in_words(make_run: MakeRun, fault: Any) -> None:
    events = (
        *make_run(fault=fault).events[:3],
        LinkEvent(100.041, "link", "hit", 1, "netfault", 400, 0, fault=fault, fault_id=1),
    )
    drawn = picture(make_run(fault=fault, events=events))
    assert card(drawn, "broke").title == repr(fault)
    words = {"Blackhole": "Silence: nothing passes", "Cut": "A connection is cut at an exact byte"}
    assert words[type(fault).__name__] in card(drawn, "broke").text


def test_connections_carry_their_bytes_and_get_rows_of_their_own() -> None:
    events = [
        LinkEvent(1.0, "l", "accepted", 1, "client"),
        LinkEvent(2.0, "l", "accepted", 2, "client"),
        LinkEvent(3.0, "l", "rst", 1, "client", 12_345, 9),
        LinkEvent(3.0, "l", "closed", 1, "netfault", 12_345, 9),
        LinkEvent(4.0, "l", "accepted", 3, "client"),
        LinkEvent(5.0, "l", "upstream_failed", 3, "upstream"),
    ]
    marks, rows = connection_marks(events, lane="c", since=0.0, until=7.0)
    bars = {mark.short: mark for mark in marks if mark.shape == "bar"}
    assert rows == 2
    assert [bars[f"#{n}"].row for n in (1, 2, 3)] == [0, 1, 0]
    assert "12.3 kB" in bars["#1"].label
    assert bars["#2"].end == 7.0  # still there
    assert {(mark.label, mark.row) for mark in marks if mark.shape != "bar"} == {
        ("#1 reset by the client (RST)", 0),
        ("#3 the server could not be reached", 0),
    }


def test_a_server_that_pauses_or_restarts_is_a_fault_too(make_run: MakeRun) -> None:
    held = Delay(3600.0, direction="up")
    run = make_run(
        events=(
            LinkEvent(100.04, "link", "fault", by="netfault", fault=held, fault_id=2),
            LinkEvent(100.08, "link", "heal", by="netfault", fault=held, fault_id=2),
        ),
        remarks=(
            Remark(100.5, 4, "stands still", server="paused"),
            Remark(100.7, None, "goes on", server="resumed"),
            Remark(100.8, 5, "stands still", server="paused"),
        ),
    )
    faults = {(mark.label, mark.shade) for mark in lane(picture(run), "faults")}
    assert {label for label, _ in faults} == {"Restart()", "Pause()"}
    assert len(faults) == 3


@pytest.mark.parametrize(("compacted", "blamed"), [(3, "Compact()"), (2, "Sever()")])
def test_a_compaction_is_blamed_where_it_took_all_that_is_missing(
    make_run: MakeRun, compacted: int, blamed: str
) -> None:
    run = make_run(remarks=(Remark(100.06, 5, f"up to revision {compacted}", server="compacted"),))
    run = replace(run, trace=replace(run.trace, compactions=(Compaction(compacted, 1),)))
    drawn = picture(run)
    (broke,) = (card for card in drawn.cards if card.kind == "broke")
    assert broke.title == blamed
    (culprit,) = (mark for mark in drawn.marks if mark.tone == "culprit")
    assert culprit.label == blamed
    assert {mark.label for mark in lane(drawn, "faults")} == {"Compact()", "Sever()"}
    named = (
        "Revision 3 was in it, and the subscriber did not have it yet: Sever() had come between, from 40.0 ms"
    )
    assert (named in broke.text) is (blamed == "Compact()")


def test_a_compaction_before_the_write_is_not_blamed(make_run: MakeRun) -> None:
    """As above, but for the time of the compaction."""
    run = make_run(remarks=(Remark(100.045, 5, "up to revision 3", server="compacted"),))
    run = replace(run, trace=replace(run.trace, compactions=(Compaction(3, 1),)))
    assert [card.title for card in picture(run).cards if card.kind == "broke"] == ["Sever()"]


def test_of_several_cut_connections_the_one_that_delivered_most_is_named(make_run: MakeRun) -> None:
    def cut(number: int, down: int) -> LinkEvent:
        return LinkEvent(100.041, "link", "fin", number, "netfault", 9, down, "", Sever(), 1, "both")

    began = LinkEvent(100.04, "link", "fault", by="netfault", fault=Sever(), fault_id=1)
    (broke,) = (
        card
        for card in picture(make_run(events=(began, cut(1, 20), cut(2, 500), cut(3, 7)))).cards
        if card.kind == "broke"
    )
    assert (
        "It closed 3 connections, of which #2 had delivered most to the client: after 9 B up and 500 B down"
        in broke.text
    )
    (broke,) = (card for card in picture(make_run(events=(began, cut(1, 20)))).cards if card.kind == "broke")
    assert "It closed connection #1 after 9 B up and 20 B down" in broke.text


def test_what_plays_it_again_can_be_pasted(make_run: MakeRun) -> None:
    drawn = picture(make_run(), seed=7, settle=2.0, command="netfault replay a.json --store s.py:open_store")
    assert drawn.paste.splitlines()[-1] == "verify.replay(open_store, server, schedule, settle=2, seed=7)"
    *definition, _call = drawn.paste.splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(definition), names)
    assert names["schedule"] == make_run().schedule
    assert drawn.command.startswith("netfault replay")


def test_a_large_picture_begins_at_the_loss() -> None:
    marks = [Mark(f"e{n}", "x", float(n), float(n), "") for n in range(1_000)]
    assert focus(marks[:50], ["e7"]) is None  # a small one is seen whole
    window = focus(marks, ["e500", "e505"])
    assert window is not None
    assert 470 < window[0] < 500
    assert 505 < window[1] < 530
    far = focus(marks, ["e10", "e900"])
    assert far is not None
    assert 850 < far[0] < 900 < far[1] < 950


def test_it_is_written_beside_the_trace(make_run: MakeRun, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="the report is drawn with Jinja2")
    from pytest_netfault.report.html import embedded

    run = make_run()
    path = write_report(tmp_path, "lost", run, document(run, seed=7))
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    assert embedded(page) == picture(run, seed=7)


def test_without_jinja2_the_rest_is_written(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    run = make_run()
    write_report(tmp_path, "lost", run, document(run, seed=7))
    assert {one.suffix for one in tmp_path.iterdir()} == {".json", ".py"}


def test_every_guarantee_has_plain_words() -> None:
    assert set(GUARANTEES) | {"writes.lost", "writes.phantom", "writes.duplicate"} == set(WRONG)


def test_several_losses_are_all_named(make_run: MakeRun) -> None:
    drawn = picture(make_run(handed=((100.03, Delivered((TraceEvent("put", "r17.a", "v2", 2),))),)))
    assert drawn.headline == "2 updates were lost: revisions 3, 4 never arrived"
