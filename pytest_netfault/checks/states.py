"""Where a log had a given state.

A snapshot without a revision is placed by its content. Between two changes of the subscription the state is the same,
so that a state holds over a range of revisions; candidates are found by a fingerprint, however long the log is.

A fingerprint only finds; whether a state is the right one is decided by the log itself
(``CommittedLog.snapshot_differs``), so that the answer is the one that the judge gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_netfault.checks.committed_log import CommittedLog

__all__ = ["States"]


class States:
    """The states of one log, limited to its subscription."""

    def __init__(self, committed: CommittedLog, initial: Mapping[str, str] | None) -> None:
        self._committed = committed
        self._initial = {key: value for key, value in (initial or {}).items() if committed.covers(key)}
        self._begins: list[int | None] | None = None  # where each stretch begins; the first one always was
        self._by_print: dict[int, list[int]] = {}

    def fits(self, kvs: Mapping[str, str], floor: int) -> list[int]:
        """For each stretch with this state that reaches to ``floor`` or above: its first revision from there on."""
        begins = self._laid_out()
        numbers: Iterable[int] = range(len(begins) - 1)
        if self._committed.whole:  # otherwise unrecorded keys may exist, and a fingerprint does not find them
            numbers = self._by_print.get(_fingerprint(kvs), ())
        found = []
        for number in numbers:
            begin, end = begins[number], begins[number + 1]
            revision = floor if begin is None else max(begin, floor)
            if end is not None and end <= revision:
                continue
            if self._committed.snapshot_differs(revision, kvs, search=False) is None:
                found.append(revision)
        return found

    def _laid_out(self) -> list[int | None]:
        """The begin of each stretch, and None behind the last, which does not end."""
        if self._begins is not None:
            return self._begins
        committed = self._committed
        state = dict(self._initial)
        mark = _fingerprint(state)
        begins: list[int | None] = [None]
        prints = [mark]
        for position, (kind, key, value) in enumerate(committed.changes):
            if not committed.inside[position]:
                continue
            if key in state:
                mark ^= hash((key, state.pop(key)))
            if kind == "put" and value is not None:
                state[key] = value
                mark ^= hash((key, value))
            if begins[-1] != committed.revisions[position]:
                begins.append(committed.revisions[position])
                prints.append(mark)
            prints[-1] = mark
        for number, one in enumerate(prints):
            self._by_print.setdefault(one, []).append(number)
        self._begins = [*begins, None]
        return self._begins


def _fingerprint(kvs: Mapping[str, str]) -> int:
    mark = 0
    for item in kvs.items():
        mark ^= hash(item)
    return mark
