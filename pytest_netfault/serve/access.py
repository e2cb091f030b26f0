"""Who may control the server: this machine always, others with the token."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass

from starlette.requests import Request

from pytest_netfault.serve.errors import ApiError

__all__ = ["Access", "is_browser", "is_loopback"]

# What readiness probes ask for, and what says nothing about anybody's network.
_PUBLIC = ("/version",)


@dataclass(frozen=True)
class Access:
    """Who may control the server.

    Attributes:
        token: what a request from elsewhere must carry; None if nobody needs one.
    """

    token: str | None

    def check(self, request: Request) -> None:
        """Let a request pass.

        The token comes as ``Authorization: Bearer TOKEN``, or as the password of a URL, which every client of Toxiproxy
        can be given: ``http://netfault:TOKEN@host:8474``.

        Raises:
            ApiError: 401, it comes from elsewhere without the token.
        """
        if self.token is None or request.url.path in _PUBLIC:
            return
        if request.client is not None and is_loopback(request.client.host):
            return
        given = _token_of(request.headers.get("authorization", ""))
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            raise ApiError(
                "control from another machine needs the token of the server: 'Authorization: Bearer TOKEN', or "
                "http://netfault:TOKEN@HOST:PORT",
                401,
            )


def is_loopback(host: str) -> bool:
    """Whether this address is the machine itself.

    >>> is_loopback("127.0.0.1"), is_loopback("::ffff:127.0.0.1"), is_loopback("10.0.0.1"), is_loopback("")
    (True, True, False, False)
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_browser(request: Request) -> bool:
    """Whether a page in a browser asks, which has no business here."""
    return request.headers.get("user-agent", "").startswith("Mozilla/")


def _token_of(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1", "replace").decode("utf-8", "replace")  # a header is bytes
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace").partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""
