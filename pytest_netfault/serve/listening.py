"""Where a proxy listens and what it forwards to, from the text that a client of Toxiproxy gives.

An address is read as Go's ``net`` package reads it, and what is wrong with it is said in its words. What Go does not
know, a Unix socket as ``unix:/path``, is taken besides.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from pytest_netfault.proxy.addresses import (
    Address,
    NoAddress,
    TcpAddress,
    UnixAddress,
    UpstreamAddress,
    parse_address,
)

__all__ = ["AddressError", "Listen", "bind_error", "parse_upstream", "resolve_listen", "split_host_port"]

_LOOKUP_SECONDS = 5.0


class AddressError(ValueError):
    """A text is no address that could be listened on, or a name that cannot be resolved."""


@dataclass(frozen=True)
class Listen:
    """A resolved address to listen on.

    Attributes:
        text: what clients see: the first address, port 0 still unresolved.
        addresses: all that it means, the first one first.
    """

    text: str
    addresses: Sequence[Address]


def split_host_port(text: str) -> tuple[str, str]:
    """The host and the port of an address, as Go splits them.

    Raises:
        AddressError: it cannot be split.

    >>> split_host_port("[::1]:80"), split_host_port(":80")
    (('::1', '80'), ('', '80'))
    >>> split_host_port("bogus")
    Traceback (most recent call last):
        ...
    pytest_netfault.serve.listening.AddressError: address bogus: missing port in address
    """

    def wrong(why: str) -> AddressError:
        return AddressError(f"address {text}: {why}")

    host, colon, port = text.rpartition(":")
    if not colon:
        raise wrong("missing port in address")
    if text.startswith("["):
        end = text.find("]")
        if end < 0:
            raise wrong("missing ']' in address")
        if end + 1 == len(text) or text[end + 1] != ":":
            raise wrong("missing port in address")
        if end + 1 != len(host):
            raise wrong("too many colons in address")
        host = host[1:end]
    elif ":" in host:
        raise wrong("too many colons in address")
    if "[" in host or "[" in port:
        raise wrong("unexpected '[' in address")
    if "]" in host or "]" in port:
        raise wrong("unexpected ']' in address")
    return host, port


def _port_number(text: str, port: str) -> int:
    if not port:
        return 0
    if port.isascii() and port.lstrip("+-").isdigit() and len(port) <= 20:
        number = int(port)
        if not 0 <= number <= 65535:
            raise AddressError(f"address {text}: invalid port")
        return number
    try:
        return socket.getservbyname(port, "tcp")
    except (OSError, UnicodeError, ValueError) as error:
        raise AddressError(f"lookup tcp/{port}: unknown port") from error


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


async def resolve_listen(text: str) -> Listen:
    """Where an address means to listen; a name is looked up, within 5 seconds.

    Without a host it is every address of this machine; a name that has an IPv4 and an IPv6 address means both, and is
    shown as the IPv4 one.

    Raises:
        AddressError: it is none.
    """
    if text.startswith("unix:"):
        try:
            unix = parse_address(text, what="listen")
        except ValueError as error:
            raise AddressError(str(error)) from error
        return Listen(str(unix), (unix,))
    host, service = split_host_port(text) if text else ("", "")
    port = _port_number(text, service)
    literal = _literal(host)
    if not host or literal == "::":
        found = ["::", "0.0.0.0"]
    elif literal is not None:
        found = [literal]
    else:
        found = await _look_up(host)
    addresses = tuple(TcpAddress(one, port) for one in found)
    return Listen(str(addresses[0]), addresses)


async def _look_up(host: str) -> list[str]:
    with trio.move_on_after(_LOOKUP_SECONDS):
        try:
            found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, ValueError) as error:
            raise AddressError(f"lookup {host}: no such host") from error
        fours = [str(name[0]) for family, _, _, _, name in found if family == socket.AF_INET]
        sixes = [str(name[0]) for family, _, _, _, name in found if family == socket.AF_INET6]
        return (fours or sixes)[:1] + (sixes[:1] if fours else [])
    raise AddressError(f"lookup {host}: no answer within {_LOOKUP_SECONDS:g} s")


def parse_upstream(text: str) -> UpstreamAddress:
    """What an upstream means. It is never looked up here, and what is no address fails when a client connects."""
    try:
        if text.startswith("unix:"):
            return parse_address(text, what="upstream")
        host, service = split_host_port(text)
        port = _port_number(text, service)
        return _checked(TcpAddress(host or "127.0.0.1", port))
    except (AddressError, ValueError, UnicodeError) as error:
        return NoAddress(text, str(error))


def _checked(address: TcpAddress) -> TcpAddress:
    if any(ord(one) < 33 or one in "[]/\x7f" for one in address.host):
        raise AddressError(f"lookup {address.host}: no such host")
    address.host.encode("idna")
    return address


def bind_error(address: Address, error: OSError) -> str:
    """Why an address cannot be listened on, as Go says it.

    >>> bind_error(TcpAddress("127.0.0.1", 80), OSError(98, ""))
    'listen tcp 127.0.0.1:80: bind: address already in use'
    """
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    if isinstance(address, UnixAddress):
        return f"listen unix {address.path}: bind: {reason}"
    step = "listen" if error.errno == errno.EMFILE else "bind"
    return f"listen tcp {address}: {step}: {reason}"
