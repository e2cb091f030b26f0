"""What an audit finds."""

from __future__ import annotations

from runtime_config._feed.audit import Audit, missing


def test_the_audit_finds_lost_puts_and_lost_deletes_and_nothing_else() -> None:
    audit = Audit({"same": 3, "newer": 4, "gone": 5, "late": 6, "never": 7}, revision=9)
    held = {"same": 3, "newer": 12, "late": 2, "ghost": 1, "born": 11}
    assert missing(audit, held, deleted={"gone": 10}) == ["ghost", "late", "never"]
