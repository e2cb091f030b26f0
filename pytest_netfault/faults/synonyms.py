"""What other tools call our faults, so that users of those tools find our names.

The words are those of Toxiproxy, tc and iptables, and of chaos tools; the pages about faults name them, too. Each fault
declares its own, see :class:`.Traits`.
"""

from __future__ import annotations

import re

from pytest_netfault.faults.base import Fault, fields_of, has_no_default
from pytest_netfault.faults.written import FAULTS

__all__ = ["OF_A_LINK", "no_attribute"]


def _method_of(kind: type[Fault]) -> str:
    """The call of the method of a link that applies a fault of this class."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
    return f"{name}({', '.join(field.name for field in fields_of(kind) if has_no_default(field))})"


#: What a link can do, and the words that people look for instead, separated by spaces.
OF_A_LINK = {
    **{_method_of(kind): kind.traits.synonyms for kind in FAULTS},
    "delay(seconds, jitter=...), which delays endings, too": "slow_close jitter",
    "apply(fault)": "toxic toxics add_toxic inject add_fault fault faults",
    "heal(), as a fault has, or the end of its with block": "up enable restore recover resume remove_toxic "
    "reset_toxics unblock reconnect clear",
}
_OF_A_NETFAULT = {
    "forward(server), which gives a link": "proxy link create create_proxy add_proxy connect listen populate",
}


def no_attribute(kind: str, name: str) -> str:
    """The message of an ``AttributeError``, with our name for what somebody looked for.

    >>> no_attribute("Link", "latency")
    "'Link' object has no attribute 'latency': what you look for is link.delay(seconds)"
    >>> no_attribute("NetFault", "sever")
    "'NetFault' object has no attribute 'sever': it is a link that is broken, as in netfault.forward(server).sever()"
    >>> no_attribute("Link", "nonsense")
    "'Link' object has no attribute 'nonsense'"
    """
    message = f"{kind!r} object has no attribute {name!r}"
    words = name.lower()
    link = _lookup(OF_A_LINK, words)
    if kind == "Link":
        return f"{message}: what you look for is link.{link}" if link else message
    made = _lookup(_OF_A_NETFAULT, words)
    if made:
        return f"{message}: what you look for is netfault.{made}"
    if link is None:
        link = next((ours for ours in OF_A_LINK if ours.partition("(")[0] == words), None)
    if link is None:
        return message
    return f"{message}: it is a link that is broken, as in netfault.forward(server).{link}"


def _lookup(table: dict[str, str], word: str) -> str | None:
    return next((ours for ours, theirs in table.items() if word in theirs.split()), None)
