"""The session's own certificate authority.

Its private key never leaves the memory of this process. Files are made when somebody asks for their path, in a
directory that only this user can enter, and are removed when the process ends.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import ssl
import tempfile
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme

__all__ = ["Authority", "authority"]


class Authority:
    """A certificate authority that lives as long as the process. Made by :func:`authority`."""

    def __init__(self) -> None:
        try:
            import trustme
        except ModuleNotFoundError as error:
            if error.name != "trustme":
                raise
            raise ModuleNotFoundError(
                "TLS links make certificates with trustme, which is not installed: "
                "pip install 'pytest-netfault[tls]'",
                name="trustme",
            ) from error
        self._ca = trustme.CA(organization_name="pytest-netfault, for this test session only")
        self._lock = threading.RLock()
        self._directory: str | None = None
        self._leaves: dict[tuple[str, ...], trustme.LeafCert] = {}

    @property
    def file(self) -> str:
        """The path of the authority's certificate, a PEM file: what a client is told to trust."""
        return self._written("ca.pem", self._ca.cert_pem.bytes())

    @property
    def client_certificate(self) -> str:
        """The path of a PEM file with a client's certificate of this authority and its private key.

        Only this user can read it.
        """
        with self._lock:
            pem = self._leaf(("client.netfault.test",)).private_key_and_cert_chain_pem.bytes()
            return self._written("client.pem", pem)

    def configure_server(self, context: ssl.SSLContext, names: tuple[str, ...]) -> None:
        """Have a context show a certificate for these names; the first may be one that none can be made for."""
        with self._lock:
            self._leaf(names).configure_cert(context)

    def configure_trust(self, context: ssl.SSLContext) -> None:
        """Have a context trust what this authority has signed."""
        self._ca.configure_trust(context)

    def _leaf(self, names: tuple[str, ...]) -> trustme.LeafCert:
        if names not in self._leaves:
            try:
                self._leaves[names] = self._ca.issue_cert(*names)
            except (
                ValueError
            ):  # a name such as db_1, which can be looked up, and which no certificate is made for
                self._leaves[names] = self._leaf(names[1:])
        return self._leaves[names]

    def _written(self, name: str, content: bytes) -> str:
        with self._lock:
            if self._directory is None or not os.path.isdir(self._directory):  # noqa: PTH112
                self._directory = tempfile.mkdtemp(prefix="netfault-ca-")  # mode 700
                atexit.register(shutil.rmtree, self._directory, ignore_errors=True)
            path = f"{self._directory}/{name}"
            if not os.path.exists(path):  # noqa: PTH110
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(descriptor, "wb") as file:  # noqa: PTH123
                    file.write(content)
            return path

    def __repr__(self) -> str:
        return "<the certificate authority of this session>"


@functools.lru_cache(maxsize=1)
def authority() -> Authority:
    """The one of this process.

    Raises:
        ModuleNotFoundError: trustme is not installed; the message says what to install.
    """
    return Authority()
