"""What a failed call means: whether the request was applied, and which error says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_config import errors
from runtime_config._etcd.grpc_status import Verdict, final_error, judge


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
