"""What a judge of a trace finds broken, counted, with a bounded number of sentences."""

from __future__ import annotations

from collections.abc import Callable, Container

from pytest_netfault.checks.trace import TraceEvent
from pytest_netfault.checks.trace_verdict import GUARANTEES, MAX_EVIDENCE, Breakage, Guarantee

__all__ = ["Findings"]


class Findings:
    """Collects breakages.

    Args:
        name_of: what a revision is called in sentences.
        judged: the guarantees that are judged; a breakage of any other is ignored.

    Attributes:
        evidence: the first ``MAX_EVIDENCE`` breakages of each guarantee, in the order of the stream.
        counts: how often each guarantee was broken.
    """

    def __init__(self, name_of: Callable[[int], str], judged: Container[Guarantee] = GUARANTEES) -> None:
        self.evidence: list[Breakage] = []
        self.counts: dict[Guarantee, int] = {}
        self._name_of = name_of
        self._judged = judged

    def add(
        self,
        guarantee: Guarantee,
        item: int | None,
        about: TraceEvent | int | None,
        words: str,
        key: str | None = None,
        *,
        other_item: int | None = None,
    ) -> None:
        """Add a breakage that concerns a change, whose name begins the sentence, or just a revision, or a key.

        ``other_item`` is a second item that the words name.
        """
        if guarantee not in self._judged:
            return
        count = self.counts.get(guarantee, 0) + 1
        self.counts[guarantee] = count
        if count > MAX_EVIDENCE:
            return
        items = tuple(one for one in (item, other_item) if one is not None)
        if about is None or isinstance(about, int):
            self.evidence.append(Breakage(guarantee, item, about, key, words, items))
        else:
            named = f"{self._name_of(about[3])} ({about[0]} {about[1]!r})"
            self.evidence.append(Breakage(guarantee, item, about[3], about[1], f"{named} {words}", items))
