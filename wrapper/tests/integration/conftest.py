"""etcd servers that the kit does not start: with TLS, with users, as a cluster."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from runtime_config.compat import etcd3

from pytest_netfault.servers import OwnedProcess, ReservedPort

START_SECONDS = 60.0


@dataclass(frozen=True)
class Certificates:
    """Paths of a certificate authority, and of what it has signed for a server and for a client."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("certificates for the TLS tests are made with openssl, which is not on PATH")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca",
        "-days", "2")  # fmt: skip
    (folder / "san.txt").write_text("subjectAltName=DNS:config.internal,IP:127.0.0.1")
    for name in ("server", "client"):
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
            f"/CN={name}")  # fmt: skip
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-out", f"{name}.pem", "-extfile", "san.txt")  # fmt: skip
    return Certificates(
        *(folder / name for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key"))
    )


class Members:
    """etcd processes that make one cluster. `kill(n)` ends one for good."""

    def __init__(self, binary: str, folder: Path, count: int, flags: Sequence[str], scheme: str) -> None:
        self._ports = [
            ReservedPort() for _ in range(2 * count)
        ]  # nobody else gets them before the members have bound
        numbers = [port.number for port in self._ports]
        clients, peers = numbers[:count], numbers[count:]
        self.addresses = [f"127.0.0.1:{port}" for port in clients]
        cluster = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, port in enumerate(peers))
        self.processes = []
        for n in range(count):
            command = [
                binary, f"--name=m{n}", f"--data-dir={folder}/m{n}", "--unsafe-no-fsync=true",
                f"--listen-client-urls={scheme}://{self.addresses[n]}",
                f"--advertise-client-urls={scheme}://{self.addresses[n]}",
                f"--listen-peer-urls=http://127.0.0.1:{peers[n]}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peers[n]}",
                f"--initial-cluster={cluster}", "--heartbeat-interval=50", "--election-timeout=500", *flags,
            ]  # fmt: skip
            self.processes.append(OwnedProcess(command, output=folder / f"m{n}.log"))

    def kill(self, number: int) -> None:
        self.processes[number].kill()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for port in self._ports:
            port.close()


@pytest.fixture
def members(etcd_binary: str, tmp_path: Path) -> Iterator[Callable[..., Members]]:
    """Start a cluster: `members(count, flags=[...], scheme="https")`; it serves when a store can be opened on it."""
    started: list[Members] = []

    def start(count: int = 1, *, flags: Sequence[str] = (), scheme: str = "http") -> Members:
        started.append(Members(etcd_binary, tmp_path, count, flags, scheme))
        return started[-1]

    yield start
    for one in reversed(started):
        one.close()


def patiently(call: Callable[[], Any]) -> Any:
    """Repeat a call of a server that is still starting."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return call()
        except grpc.RpcError:  # noqa: PERF203 - the server is starting
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.05)


@dataclass(frozen=True)
class Users:
    """An etcd that wants a user: `root`/`root`, `service`/`secret` for one root, `reader`/`secret` to read it."""

    address: str
    root: str
    change_password: Callable[[str, str], None]
    revoke: Callable[[str], None]


@pytest.fixture
def users(members: Callable[..., Members]) -> Iterator[Users]:
    server = members(flags=["--auth-token-ttl=2"])
    address, root = server.addresses[0], "/config"
    rpc = etcd3.etcdrpc
    with grpc.insecure_channel(address) as channel:
        auth = rpc.AuthStub(channel)
        patiently(lambda: rpc.KVStub(channel).Range(rpc.RangeRequest(key=b"x"), timeout=5))
        auth.UserAdd(rpc.AuthUserAddRequest(name="root", password="root"))
        auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
        for name, kind in (("service", 2), ("reader", 0)):
            auth.UserAdd(rpc.AuthUserAddRequest(name=name, password="secret"))
            auth.RoleAdd(rpc.AuthRoleAddRequest(name=name))
            grant = rpc.AuthRoleGrantPermissionRequest(name=name)
            grant.perm.permType = kind
            grant.perm.key = f"{root}/".encode()
            grant.perm.range_end = f"{root}0".encode()
            auth.RoleGrantPermission(grant)
            auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=name, role=name))
        auth.AuthEnable(rpc.AuthEnableRequest())

        def as_root(method: Any, request: Any) -> None:
            token = auth.Authenticate(rpc.AuthenticateRequest(name="root", password="root")).token
            method(request, metadata=[("token", token)])

        yield Users(
            address,
            root,
            lambda name, password: as_root(
                auth.UserChangePassword, rpc.AuthUserChangePasswordRequest(name=name, password=password)
            ),
            lambda name: as_root(
                auth.RoleRevokePermission,
                rpc.AuthRoleRevokePermissionRequest(role=name, key=f"{root}/", range_end=f"{root}0"),
            ),
        )
