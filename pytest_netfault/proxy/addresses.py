"""Where a link listens and what it forwards to.

An address is checked when it is parsed, and the message says which argument was wrong and what would be valid.

>>> parse_address("127.0.0.1:2379", what="upstream")
TcpAddress(host='127.0.0.1', port=2379)
>>> parse_address(("::1", 6379), what="upstream")
TcpAddress(host='::1', port=6379)
>>> str(parse_address("[::1]:6379", what="upstream"))
'[::1]:6379'
>>> str(parse_address(5432, what="upstream"))
'127.0.0.1:5432'
>>> parse_address("unix:/run/db.sock", what="upstream")
UnixAddress(path='/run/db.sock')
"""

from __future__ import annotations

import ipaddress
import os
import string
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_netfault.faults import shown

__all__ = [
    "Address",
    "AddressLike",
    "NoAddress",
    "TcpAddress",
    "UnixAddress",
    "UpstreamAddress",
    "is_host",
    "name_of",
    "parse_address",
]

# sun_path holds 108 bytes on Linux and 104 elsewhere, with the closing NUL; a longer path fails in bind() with no hint
# why.
_LONGEST_UNIX_PATH = 107 if sys.platform == "linux" else 103


@dataclass(frozen=True)
class TcpAddress:
    """A host (a name or a literal) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return _tcp_name(self.host, self.port)


@dataclass(frozen=True)
class UnixAddress:
    """The path of a Unix stream socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True)
class NoAddress:
    """What was given as an upstream and is no address: each connection fails, and says why."""

    text: str
    why: str

    def __str__(self) -> str:
        return self.text


Address: TypeAlias = TcpAddress | UnixAddress
UpstreamAddress: TypeAlias = Address | NoAddress
AddressLike: TypeAlias = "str | int | tuple[str, int] | Address"

_FORMS = "'host:port', '[v6]:port', (host, port), a port number or 'unix:/path'"


# Characters that no host name or literal has, and that would make an address unreadable when printed.
_NO_HOST = frozenset("[]/\0") | frozenset(string.whitespace)


def is_host(text: str) -> bool:
    """Whether a text can be a host: an address, or a name that could be looked up.

    >>> is_host("db_1"), is_host("::1"), is_host("a b"), is_host("a:80")
    (True, True, False, False)
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not text or ":" in text or _NO_HOST.intersection(text):
            return False
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True


def _tcp(host: object, port: object, what: str, least: int) -> TcpAddress:
    if not isinstance(host, str):
        raise TypeError(f"{what}: the host must be a string, not {shown(host)}")
    if not host or _NO_HOST.intersection(host):
        raise ValueError(f"{what}: the host must be a name or an address, not {shown(host)}")
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"{what}: the port must be a whole number, not {shown(port)}")
    if not least <= port <= 65535:
        raise ValueError(f"{what}: the port must lie between {least} and 65535, not {shown(port)}")
    return TcpAddress(host, port)


def _unix(path: object, what: str) -> UnixAddress:
    if not isinstance(path, str):
        raise TypeError(f"{what}: a Unix path must be a string, not {shown(path)}")
    if not path or "\0" in path or len(path.encode(errors="surrogatepass")) > _LONGEST_UNIX_PATH:
        raise ValueError(
            f"{what}: a Unix path must have 1 to {_LONGEST_UNIX_PATH} bytes and no NUL, not {shown(path)}"
        )
    return UnixAddress(path)


def parse_address(value: object, *, what: str, any_port: bool = False) -> Address:
    """Read an address in any of the forms that users write.

    Args:
        value: ``"host:port"``, ``"[v6]:port"``, ``(host, port)``, a port on 127.0.0.1, or ``"unix:/path"``.
        what: the argument's name, for messages.
        any_port: whether port 0 ("any free one") is allowed.

    Raises:
        TypeError: ``value`` has none of these types.
        ValueError: it has, but is no address.
    """
    least = 0 if any_port else 1
    if isinstance(value, TcpAddress):
        return _tcp(value.host, value.port, what, least)
    if isinstance(value, UnixAddress):
        return _unix(value.path, what)
    if isinstance(value, bool):
        raise TypeError(f"{what} must be {_FORMS}, not {value!r}")
    if isinstance(value, int):
        return _tcp("127.0.0.1", value, what, least)
    # getsockname() of an IPv6 socket has four parts; the first two are what matters here.
    if isinstance(value, (tuple, list)) and len(value) in (2, 4):
        return _tcp(value[0], value[1], what, least)
    if not isinstance(value, str):
        raise TypeError(f"{what} must be {_FORMS}, not {shown(value)}")
    if value.startswith("unix:"):
        return _unix(value[len("unix:") :], what)
    if "://" in value:
        bare = value.partition("://")[2].partition("/")[0].rpartition("@")[2]
        example = bare if bare.rpartition(":")[2].isdigit() else "localhost:80"
        raise ValueError(f"{what}: write host:port without a scheme, such as {example!r}, not {shown(value)}")
    host, separator, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{what}: write an IPv6 address in brackets, as '[::1]:80', not {shown(value)}")
    if not separator or not host or not (port.isascii() and port.isdigit()) or len(port) > 5:
        raise ValueError(f"{what} must be {_FORMS}, not {shown(value)}")
    return _tcp(host, int(port), what, least)


def _tcp_name(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def name_of(address: Any, *, unix: bool) -> str:
    """An address as the socket module has it, in the form that users write."""
    if unix:
        return f"unix:{os.fsdecode(address)}" if address else "unix:"
    return _tcp_name(address[0], address[1])
