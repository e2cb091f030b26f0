"""How a link speaks TLS, as data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.faults.arguments import flag, shown
from pytest_netfault.proxy.addresses import is_host

__all__ = ["TLS", "CertificateFiles", "check_tls"]

#: A PEM file with a certificate and its key, or two files.
CertificateFiles = str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]


@dataclass(frozen=True, kw_only=True)
class TLS:
    """How a link speaks TLS, for ``netfault.forward(upstream, tls=TLS(...))``; ``tls=True`` is ``TLS()``.

    Args:
        upstream_ca: a PEM file of the authority that has signed the upstream's certificate; None for those that the
            system trusts.
        verify_upstream: whether the upstream's certificate must be right, as most clients demand.
        client_certificate: what the link shows an upstream that asks for a certificate: a PEM file with the certificate
            and its key, or a pair of files.
        require_client_certificate: whether a client must show the link a certificate of ``netfault.ca``, such as
            ``netfault.ca.client_certificate``.
        server_name: the name that is asked for and verified at the upstream, and that the link's own certificate is
            for; None for the host of the upstream's address.
        starttls: the protocol that begins in plaintext and asks for TLS by itself, if it is one that does so.

    Raises:
        TypeError, ValueError: an argument is none that makes sense.
    """

    upstream_ca: str | os.PathLike[str] | None = None
    verify_upstream: bool = True
    client_certificate: CertificateFiles | None = None
    require_client_certificate: bool = False
    server_name: str | None = None
    starttls: Literal["postgres"] | None = None

    def __post_init__(self) -> None:
        flag("verify_upstream", self.verify_upstream)
        flag("require_client_certificate", self.require_client_certificate)
        name: object = self.server_name
        if name is not None and not (isinstance(name, str) and name):
            raise TypeError(f"server_name must be a host name or None, not {shown(name)}")
        if isinstance(name, str) and not is_host(name):
            raise ValueError(f"server_name must be a host name or None, not {shown(name)}")
        if self.starttls not in (None, "postgres"):
            raise ValueError(f"starttls must be 'postgres' or None, not {shown(self.starttls)}")
        _check_file("upstream_ca", self.upstream_ca)
        certificate: object = self.client_certificate
        if isinstance(certificate, tuple) and (len(certificate) != 2 or None in certificate):
            raise TypeError(
                f"client_certificate must be the path of a PEM file, or a pair of them, not {shown(certificate)}"
            )
        for one in certificate if isinstance(certificate, tuple) else (certificate,):
            _check_file("client_certificate", one)


def _check_file(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a PEM file, not {shown(value)}")
    if not os.path.isfile(value):  # noqa: PTH113
        raise ValueError(f"{name} must be the path of a PEM file; {shown(value)} is no file")


def check_tls(value: object) -> TLS | None:
    """The settings that an argument ``tls`` means; None for no TLS.

    Raises:
        TypeError: it is no such argument.
    """
    if value is None or value is False:
        return None
    if value is True:
        return TLS()
    if not isinstance(value, TLS):
        raise TypeError(f"tls must be True, False or TLS(...), not {shown(value)}")
    return value
