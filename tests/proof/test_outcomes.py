from __future__ import annotations

from typing import Literal

import pytest

from pytest_netfault.checks.trace import LogEvent, Revision
from pytest_netfault.checks.writes import judge_writes
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.proof.writing import rejections
from pytest_netfault.store import WriteRejected


def write(outcome: Literal["ok", "fail", "info"], value: str | None = "1", key: str = "r17.a") -> WriteRecord:
    return WriteRecord(1, "link", ((key, value),), outcome, 0.0, 1.0)


def log(*values: str) -> list[Revision]:
    return [Revision(n, (LogEvent("put", "r17.a", value),)) for n, value in enumerate(values, start=2)]


@pytest.mark.parametrize(
    ("writes", "stored", "broken"),
    [
        ([write("ok")], log("1"), []),
        ([write("ok")], log(), ["writes.lost"]),
        ([write("ok")], log("1", "1"), ["writes.duplicate"]),
        ([write("fail")], log(), []),
        ([write("fail")], log("1"), ["writes.phantom"]),
        ([write("info")], log(), []),
        ([write("info")], log("1"), []),
        ([write("info")], log("1", "1"), ["writes.duplicate"]),
        ([write("ok"), write("ok")], log("1", "1"), []),
        ([write("ok"), write("ok")], log("1"), ["writes.lost"]),
        ([write("ok"), write("fail")], log("1"), []),
        ([write("ok"), write("fail")], log("1", "1"), ["writes.phantom"]),
        ([write("ok"), write("fail")], log("1", "1", "1"), ["writes.duplicate"]),
        ([write("info"), write("ok")], log("1", "1"), []),
        ([write("ok", None)], log(), []),
        ([write("fail", None)], log(), []),
        ([], log("7"), []),
    ],
)
def test_what_a_writer_is_told_is_held_against_the_log(
    writes: list[WriteRecord], stored: list[Revision], broken: list[str]
) -> None:
    assert [one.guarantee for one in judge_writes(writes, stored)] == broken


def test_the_sentence_names_key_and_value() -> None:
    (breakage,) = judge_writes([write("ok")], [])
    assert str(breakage) == "writes.lost: put 'r17.a' = '1' was acknowledged once, and the log has it never"


def test_rejections_are_named_by_the_kit_and_by_the_client() -> None:
    def open_store(_: str) -> object:
        return object()

    assert rejections(open_store) == (WriteRejected,)  # type: ignore[arg-type]
    open_store.rejected = (OSError, KeyError)  # type: ignore[attr-defined]
    assert rejections(open_store) == (WriteRejected, OSError, KeyError)  # type: ignore[arg-type]
