"""An etcd that speaks TLS, through a link that decrypts: etcd3 and the store trust the link's authority instead."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from runtime_config import TLS, ConfigStore, Key, Snapshot
from runtime_config.compat import etcd3

import pytest_netfault

pytestmark = pytest.mark.slow

LIMIT = Key("hosted.limit", int)
PATIENT = 60.0


@dataclass(frozen=True)
class Hosted:
    """A link to such an etcd, and what a client of the link needs: an authority, and perhaps a certificate."""

    link: pytest_netfault.Link
    ca: str
    certificate: str | None


@pytest.fixture(params=[False, True], ids=["authority", "client-certificates"])
def hosted(
    request: pytest.FixtureRequest, members: Callable[..., Any], certificates: Any, netfault: Any
) -> Hosted:
    flags = [f"--cert-file={certificates.server}", f"--key-file={certificates.server_key}"]
    settings: dict[str, Any] = {"upstream_ca": certificates.ca}
    if request.param:
        flags += [f"--trusted-ca-file={certificates.ca}", "--client-cert-auth=true"]
        settings["client_certificate"] = (certificates.client, certificates.client_key)
        settings["require_client_certificate"] = True
    (address,) = members(flags=flags, scheme="https").addresses
    link = netfault.forward(address, tls=pytest_netfault.TLS(**settings))
    return Hosted(link, netfault.ca.file, netfault.ca.client_certificate if request.param else None)


def test_etcd_over_tls(hosted: Hosted, surely: Callable[..., int]) -> None:
    link, pem = hosted.link, hosted.certificate
    tls = TLS(ca=hosted.ca, cert=pem, key=pem)
    with ConfigStore(link.address, tls=tls, timeout=PATIENT) as store, store.subscribe(LIMIT) as updates:
        assert isinstance(updates.get(PATIENT), Snapshot)
        for value, fault in enumerate((link.sever, link.reset)):
            fault()
            link.heal()
            assert surely(store, LIMIT, value) == updates.get(PATIENT).revision
        plain_etcd3(hosted)
        assert surely(store, LIMIT, 9) == updates.get(PATIENT).revision
    assert {event.kind for event in link.events}.isdisjoint({"tls_failed"})


def plain_etcd3(hosted: Hosted) -> None:
    link, pem = hosted.link, hosted.certificate
    with etcd3.client(
        host=link.host, port=link.port, ca_cert=hosted.ca, cert_cert=pem, cert_key=pem, timeout=PATIENT
    ) as client:
        client.put("key", "value")
        assert client.get("key")[0] == b"value"
        with link.cut(0, direction="down", how="rst"), pytest.raises(etcd3.exceptions.Etcd3Exception):
            client.put("key", "is it stored?")
        put = threading.Event()
        while not put.wait(0.02):
            with contextlib.suppress(etcd3.exceptions.Etcd3Exception):  # gRPC waits before it connects again
                client.put("key", "again")
                put.set()
        assert client.get("key")[0] == b"again"
