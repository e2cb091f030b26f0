"""The pure decisions: how long to wait, when a stream is dead, what a status means, what an audit finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_config import _backoff, errors
from runtime_config._audit import Audit, missing
from runtime_config._backoff import Backoff
from runtime_config._decide import OPENING, Action, Pulse
from runtime_config._link import TLS, channel_options, check_endpoints
from runtime_config._status import Verdict, final_error, judge


@given(st.integers(0, 5000), st.floats(0, 1))
def test_a_wait_is_never_zero_and_never_long(failures: int, luck: float) -> None:
    assert 0 < Backoff(failures).delay(lambda: luck) <= _backoff.LARGEST


def test_a_good_connection_starts_from_the_beginning_and_a_bad_one_does_not() -> None:
    worn = Backoff(7)
    assert worn.after(0.1, moved=False) == Backoff(8)
    assert worn.after(0.1, moved=True) == Backoff()
    assert worn.after(_backoff.GOOD_AFTER, moved=False) == Backoff()


def test_a_stream_that_is_not_confirmed_is_given_up() -> None:
    pulse = Pulse(100.0, dead_after=20.0)
    assert pulse.decide(100.0) == (Action.WAIT, 100.0 + OPENING)
    assert pulse.decide(100.0 + OPENING)[0] is Action.GIVE_UP


@settings(deadline=None)
@given(dead_after=st.floats(0.2, 1000), gaps=st.lists(st.floats(0.01, 20), max_size=20))
def test_a_dead_stream_is_given_up_in_time_and_a_live_one_never(dead_after: float, gaps: list[float]) -> None:
    """Play a watchdog that wakes exactly when it asked to, over a stream that answers every question until it
    dies."""
    now, pulse = 0.0, Pulse(0.0, dead_after).word(0.0)
    for gap in gaps:
        next_word = now + gap * dead_after
        while True:
            action, due = pulse.decide(now)
            assert action is not Action.GIVE_UP, "a stream that answers was given up"
            if action is Action.ASK:
                pulse = pulse.ask(now).word(now)
                continue
            if due >= next_word:
                break
            now = due
        now, pulse = next_word, pulse.word(next_word)
    died = now
    while True:
        action, due = pulse.decide(now)
        if action is Action.GIVE_UP:
            break
        if action is Action.ASK:
            pulse = pulse.ask(now)
        else:
            now = due
    assert now - died == pytest.approx(dead_after)


def test_a_late_watchdog_asks_before_it_gives_up() -> None:
    pulse = Pulse(0.0, dead_after=2.0).word(1.0)
    assert pulse.decide(500.0)[0] is Action.ASK
    assert pulse.ask(500.0).decide(500.9) == (Action.WAIT, 501.0)


@pytest.mark.parametrize(
    ("code", "details", "verdict"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: refused", Verdict.NOT_SENT),
        ("UNAVAILABLE", "Socket closed", Verdict.LOST),
        ("UNAVAILABLE", "etcdserver: request timed out", Verdict.LOST),
        ("UNAVAILABLE", "etcdserver: leader changed", Verdict.LOST),
        ("UNAVAILABLE", "etcdserver: no leader", Verdict.REFUSED_NOW),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Verdict.LOST),
        ("INTERNAL", "whatever", Verdict.LOST),
        ("UNKNOWN", "whatever", Verdict.LOST),
        ("CANCELLED", "whatever", Verdict.LOST),
        ("UNAUTHENTICATED", "etcdserver: invalid auth token", Verdict.REAUTHENTICATE),
        ("INVALID_ARGUMENT", "etcdserver: user name is empty", Verdict.REAUTHENTICATE),
        ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", Verdict.REAUTHENTICATE),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", Verdict.COMPACTED),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision", Verdict.FUTURE),
        ("FAILED_PRECONDITION", "etcdserver: authentication is not enabled", Verdict.AUTH_DISABLED),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Verdict.REFUSED_NOW),
        ("UNAVAILABLE", "a proxy says: invalid auth token", Verdict.LOST),
        ("PERMISSION_DENIED", "etcdserver: permission denied", Verdict.FINAL),
        ("INVALID_ARGUMENT", "etcdserver: request is too large", Verdict.FINAL),
    ],
)
def test_what_a_status_says_about_a_write(code: str, details: str, verdict: Verdict) -> None:
    assert judge(code, details) is verdict


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("PERMISSION_DENIED", "etcdserver: permission denied", errors.PermissionDenied),
        (
            "INVALID_ARGUMENT",
            "etcdserver: authentication failed, invalid user ID",
            errors.AuthenticationFailed,
        ),
        ("INVALID_ARGUMENT", "etcdserver: user name is empty", errors.AuthenticationFailed),
        ("INVALID_ARGUMENT", "etcdserver: request is too large", errors.ValueTooLarge),
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (2 vs. 1)", errors.ValueTooLarge),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", errors.StoreFull),
        ("INVALID_ARGUMENT", "etcdserver: something new", errors.ConfigError),
    ],
)
def test_a_final_refusal_has_its_own_error(code: str, details: str, kind: type[Exception]) -> None:
    assert type(final_error(code, details)) is kind


@given(
    st.sampled_from(["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED"]),
    # Hypothesis tries the texts that it finds in our own modules, too: what etcd says is known.
    st.text(max_size=40).filter(lambda details: not details.startswith("etcdserver: ")),
)
def test_a_transport_error_in_unknown_words_is_never_called_not_applied(code: str, details: str) -> None:
    assert judge(code, details) in (Verdict.LOST, Verdict.NOT_SENT)
    assert judge(code, details) is Verdict.LOST or details.startswith(
        ("failed to connect", "DNS", "connections to")
    )


def test_the_audit_finds_lost_puts_and_lost_deletes_and_nothing_else() -> None:
    audit = Audit({"same": 3, "newer": 4, "gone": 5, "late": 6, "never": 7}, revision=9)
    held = {"same": 3, "newer": 12, "late": 2, "ghost": 1, "born": 11}
    assert missing(audit, held, deleted={"gone": 10}) == ["ghost", "late", "never"]


def test_a_short_liveness_never_makes_pings_that_a_server_would_punish() -> None:
    options = dict(channel_options(0.2, None))
    assert options["grpc.keepalive_time_ms"] >= 5000
    assert options["grpc.http2.ping_timeout_ms"] == 5000
    assert options["grpc.use_local_subchannel_pool"] == 1


@pytest.mark.parametrize(
    "bad", ["", "host", "host:", ":1", "host:0", "host:99999", "ftp://a:1", "https://a:1", []]
)
def test_a_bad_endpoint_is_refused(bad: str | list[str]) -> None:
    with pytest.raises(ValueError):
        check_endpoints(bad, tls=False)


def test_a_plain_endpoint_does_not_fit_tls() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        check_endpoints("http://a:1", tls=True)
    assert check_endpoints("https://a:1", tls=True) == ("a:1",)


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValueError, match="both cert and key"):
        TLS(cert=b"x")
