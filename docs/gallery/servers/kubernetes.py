"""kube-apiserver, built from its published modules, on the etcd of the wheel; the truth is that etcd's history.

The revision of a change is its resourceVersion. It keeps its objects as JSON, so that they can be read there.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.gallery.servers.built import build, run
from docs.gallery.servers.common import Change, Revision
from docs.gallery.servers.etcd import open_server as open_etcd
from pytest_netfault.servers import OwnedServer

VERSION = "1.36.3"
TOKEN = "gallery"
_KEPT = "/registry/configmaps/default/"
# Cold, on two cores that others use as well, it takes more than twenty minutes; on quiet ones six.
_LONGEST = 3600.0
_ANNOUNCED = f"building kube-apiserver {VERSION}, once; it takes 6 to 40 minutes on two cores"
_MAIN = """\
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
"""


def _apiserver() -> str:
    return str(build("kube-apiserver", VERSION + _MAIN, _make, "go") / "kube-apiserver")


def _make(folder: Path) -> None:
    """Upstream's go.mod, in which its staging modules are those that are published beside it."""
    module = f"k8s.io/kubernetes@v{VERSION}"
    upstream = Path(json.loads(run(folder, "go", "mod", "download", "-json", module))["Dir"])
    text = (upstream / "go.mod").read_text(encoding="utf-8")
    staged = f"v0.{VERSION.partition('.')[2]}"
    text = re.sub(r"(k8s\.io/[\w-]+) => \./staging/src/k8s\.io/[\w-]+", rf"\1 => \1 {staged}", text)
    text = text.replace("module k8s.io/kubernetes", "module apiserver")
    text = text.replace("require (", f"require (\n\tk8s.io/kubernetes v{VERSION}", 1)
    (folder / "go.mod").write_text(text, encoding="utf-8")
    (folder / "go.sum").write_bytes((upstream / "go.sum").read_bytes())
    (folder / "main.go").write_text(_MAIN, encoding="utf-8")
    command = ("go", "build", "-o", "kube-apiserver", ".")
    run(folder, *command, longest=_LONGEST, announce=_ANNOUNCED, GOFLAGS="-mod=mod")


def _command(etcd: str, port: int, folder: Path) -> list[str]:
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    run(folder, "openssl", "genrsa", "-out", "account.key", "2048")
    options = {
        "etcd-servers": f"http://{etcd}",
        "secure-port": port,
        "bind-address": "127.0.0.1",
        "cert-dir": folder / "certs",
        "token-auth-file": folder / "tokens.csv",
        "authorization-mode": "AlwaysAllow",
        "disable-admission-plugins": "ServiceAccount",
        "endpoint-reconciler-type": "none",
        "storage-media-type": "application/json",
        "etcd-compaction-interval": "0",
        "service-cluster-ip-range": "10.0.0.0/24",
        "service-account-issuer": "https://127.0.0.1",
        "service-account-key-file": folder / "account.key",
        "service-account-signing-key-file": folder / "account.key",
    }
    return [_apiserver(), *(f"--{name}={value}" for name, value in options.items())]


class ApiServer(OwnedServer):
    """One server; a restart loses nothing, because it keeps nothing but a cache."""

    def __init__(self, etcd: Any) -> None:
        super().__init__(
            lambda port, folder: _command(etcd.address, port, folder),
            ready=self._serves,
            name="kube-apiserver",
            start_timeout=120,
        )
        self._etcd = etcd

    def _serves(self, port: int) -> None:
        certificate = self.folder / "certs" / "apiserver.crt"
        asked = urllib.request.Request(f"https://127.0.0.1:{port}/readyz")
        asked.add_header("Authorization", f"Bearer {TOKEN}")
        trust = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(asked, timeout=5, context=trust) as answer:
            if answer.status != 200:
                raise OSError(f"it answered {answer.status}")

    def revision(self) -> int:
        return int(self._etcd.revision())

    def log(self, after_revision: int) -> list[Revision]:
        return [
            Revision(one.revision, tuple(_change(event) for event in one.events if _ours(event)))
            for one in self._etcd.log(after_revision)
            if any(_ours(event) for event in one.events)
        ]


def _ours(event: Any) -> bool:
    return bool(event.key.startswith(_KEPT.encode()))


def _change(event: Any) -> Change:
    key = event.key.removeprefix(_KEPT.encode())
    if event.type == "delete":
        return Change("delete", key, None)
    return Change("put", key, json.loads(event.value)["data"]["value"].encode())


@contextlib.contextmanager
def open_server() -> Iterator[ApiServer]:
    with open_etcd() as etcd, ApiServer(etcd) as server:
        yield server


def version() -> str:
    _apiserver()
    return f"kube-apiserver {VERSION}"
