"""Endpoints, encryption and the settings of channels."""

from __future__ import annotations

import pytest
from runtime_config._etcd.endpoints import TLS, channel_options, check_endpoints


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
