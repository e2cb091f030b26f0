"""A client that floods and is right: much to do, and nothing to blame it for, however long the machine needs for it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_netfault import Delivery, Reset, verify


@pytest.mark.slow
def test_a_flood_that_breaks_nothing_is_no_loss_and_ends(toy: Any, server: Any) -> None:
    class Bookmarks(toy.RightStore):  # type: ignore[misc, name-defined]
        """Says a hundred thousand times how far it is."""

        def on_events(self, revision: int, changes: Any) -> None:
            super().on_events(revision, changes)
            for _ in range(100_000):
                if self._closed.is_set():
                    return
                self.hand(Delivery(bookmark=revision))

    verify.no_update_lost(
        Bookmarks, server, seed=1, max_seconds=300, max_examples=1, faults=[Reset], notice=None
    )
