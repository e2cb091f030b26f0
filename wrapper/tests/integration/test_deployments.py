"""What a real deployment has: users, TLS, several members, and members that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from runtime_config import (
    STALE,
    SYNCED,
    TLS,
    AuthenticationFailed,
    Changes,
    ConfigStore,
    Key,
    PermissionDenied,
    Section,
    Snapshot,
    Unavailable,
)

pytestmark = pytest.mark.slow

LIMIT = Key("deploy.limit", int)
PATIENT = 60.0


def test_user_and_password_work_without_tls(users: Any) -> None:
    with ConfigStore(users.address, root=users.root, username="service", password="secret") as store:
        with store.subscribe(LIMIT) as updates:
            assert isinstance(updates.get(PATIENT), Snapshot)
            written = store.set(LIMIT, 1)
            assert updates.get(PATIENT).revision == written.revision
        with (
            pytest.raises(PermissionDenied),
            ConfigStore(users.address, root="/elsewhere", username="service", password="secret"),
        ):
            pass


def test_a_token_that_ran_out_is_renewed(users: Any, netfault: Any, surely: Callable[..., int]) -> None:
    link = netfault.forward(users.address)
    options: dict[str, Any] = {
        "root": users.root,
        "username": "service",
        "password": "secret",
        "dead_after": 30,
    }
    with ConfigStore(link.address, **options) as store, store.subscribe(LIMIT) as updates:
        updates.get(PATIENT)
        # The server forgets a simple token 2 s after its last use, and looks once a second.
        threading.Event().wait(3.5)
        written = store.set(LIMIT, 1)
        assert updates.get(PATIENT).revision == written.revision, "an open watch outlives its token"
        with link.sever():
            pass
        again = surely(store, LIMIT, 2)
        assert updates.get(PATIENT).revision == again


def test_a_wrong_password_is_refused_at_once(users: Any) -> None:
    with pytest.raises(AuthenticationFailed):
        ConfigStore(users.address, root=users.root, username="service", password="wrong", timeout=PATIENT)
    with pytest.raises(AuthenticationFailed):
        ConfigStore(users.address, root=users.root, timeout=PATIENT)


def test_a_reader_may_follow_and_not_write(users: Any) -> None:
    options: dict[str, Any] = {"root": users.root, "password": "secret", "timeout": PATIENT}
    with ConfigStore(users.address, username="reader", **options) as reader:
        with reader.subscribe(LIMIT) as updates:
            updates.get(PATIENT)
            with ConfigStore(users.address, username="service", **options) as service:
                written = service.set(LIMIT, 1)
            assert updates.get(PATIENT).revision == written.revision
            with pytest.raises(PermissionDenied):
                reader.set(LIMIT, 2)


def test_a_subscriber_that_may_no_longer_read_gets_an_error(users: Any, netfault: Any) -> None:
    link = netfault.forward(users.address)
    options: dict[str, Any] = {"root": users.root, "username": "service", "password": "secret"}
    with ConfigStore(link.address, **options) as store, store.subscribe(LIMIT) as updates:
        updates.get(PATIENT)
        users.revoke("service")
        link.reset()
        with pytest.raises(PermissionDenied):
            updates.get(PATIENT)
        assert store.state is STALE


def test_users_for_a_server_that_has_none(etcd_server: Any, root: str) -> None:
    with ConfigStore(etcd_server.address, root=root, username="any", password="any") as store:
        assert store.set(LIMIT, 1).value == 1


@pytest.fixture
def protected(members: Callable[..., Any], certificates: Any) -> str:
    flags = [
        f"--cert-file={certificates.server}",
        f"--key-file={certificates.server_key}",
        f"--trusted-ca-file={certificates.ca}",
        "--client-cert-auth=true",
    ]
    address: str = members(flags=flags, scheme="https").addresses[0]
    return address


def test_tls_with_a_client_certificate(protected: str, certificates: Any) -> None:
    tls = TLS(ca=certificates.ca, cert=certificates.client, key=certificates.client_key)
    with ConfigStore(f"https://{protected}", tls=tls, timeout=PATIENT) as store:
        with store.subscribe(LIMIT) as updates:
            updates.get(PATIENT)
            written = store.set(LIMIT, 1)
            assert updates.get(PATIENT).revision == written.revision
    named = TLS(
        ca=certificates.ca.read_bytes(),
        cert=certificates.client.read_bytes(),
        key=certificates.client_key.read_bytes(),
        server_name="config.internal",
    )
    with ConfigStore(protected, tls=named, timeout=PATIENT) as store:
        assert store.get(LIMIT).value == 1


def test_tls_without_what_the_server_wants(protected: str, certificates: Any) -> None:
    good = TLS(ca=certificates.ca, cert=certificates.client, key=certificates.client_key)
    with ConfigStore(protected, tls=good, timeout=PATIENT):
        pass
    for tls in (TLS(ca=certificates.ca), TLS(), None):
        with pytest.raises(Unavailable):
            ConfigStore(protected, tls=tls, timeout=1.0)


def test_the_next_endpoint_takes_over(
    netfault: Any, etcd_server: Any, root: str, surely: Callable[..., int]
) -> None:
    links = [netfault.forward(etcd_server.address) for _ in range(2)]
    with ConfigStore([link.address for link in links], root=root, timeout=6.0, dead_after=1.0) as store:
        with store.subscribe(LIMIT) as updates:
            updates.get(PATIENT)
            for round_ in range(4):
                down = links[round_ % 2]
                with down.sever():
                    assert surely(store, LIMIT, round_) == updates.get(PATIENT).revision
            with links[0].blackhole():
                written = store.update(LIMIT, lambda value: value + 1)
                assert updates.get(PATIENT).revision == written.revision


def test_a_cluster_that_loses_members(members: Callable[..., Any]) -> None:
    cluster = members(3)
    with ConfigStore(cluster.addresses, timeout=PATIENT, dead_after=2.0) as store:
        updates = store.subscribe(Section("deploy"))
        assert isinstance(updates.get(PATIENT), Snapshot)
        written = store.set(LIMIT, 1)
        assert updates.get(PATIENT).revision == written.revision
        cluster.kill(0)
        written = store.update(LIMIT, lambda value: value + 1)
        item = updates.get(PATIENT)
        assert isinstance(item, Changes)
        assert item.revision == written.revision
        stale = threading.Event()
        store.on_state(lambda state: stale.set() if state is STALE else None)
        cluster.kill(1)
        # One member of three is left: it serves nothing but what it has, and the watch on it must not look healthy.
        assert stale.wait(PATIENT)
        assert not store.health(2.0)
        with pytest.raises(Unavailable):
            store.set(LIMIT, 9, timeout=2.0)
        assert store.get(LIMIT, stale_ok=True).value == 2
        assert store.state is not SYNCED
        updates.close()
