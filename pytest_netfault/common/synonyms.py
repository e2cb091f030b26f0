"""What other tools call our faults, so that whoever knows one of them is told the name here.

The words are those of Toxiproxy, tc and iptables, and of chaos tools; the pages about faults name them, too.

Rules of this file: pure, and the standard library only; it is asked when a name does not exist.
"""

from __future__ import annotations

__all__ = ["no_attribute"]

_OF_A_LINK = {
    "delay(seconds)": "latency lag add_latency slow slow_down",
    "delay(seconds, jitter=...), which delays endings, too": "slow_close jitter",
    "throttle(bytes_per_second)": "bandwidth rate rate_limit limit_rate limit_bandwidth shape",
    "cut(after_bytes)": "limit_data truncate limit_bytes cut_after cutoff",
    "slice(size)": "slicer fragment fragmentation chunk segment split mss",
    "lose(probability)": "packet_loss loss drop drop_packets lose_packets",
    "corrupt(probability)": "corruption flip noise mangle bitflip",
    "reset()": "reset_peer rst abort reset_connections",
    "sever()": "down disable disconnect kill stop break_ cut_off unplug drop_connections close_connections",
    "refuse()": "reject reject_connections refuse_connections deny",
    "stall_accept()": "slow_accept stall_connect hang_connect",
    "blackhole()": "partition timeout isolate silence freeze hang stall mute block pause netsplit",
    "forget()": "half_open nat_timeout idle_timeout forget_flow drop_state",
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
    link = _lookup(_OF_A_LINK, words)
    if kind == "Link":
        return f"{message}: what you look for is link.{link}" if link else message
    made = _lookup(_OF_A_NETFAULT, words)
    if made:
        return f"{message}: what you look for is netfault.{made}"
    if link is None:
        link = next((ours for ours in _OF_A_LINK if ours.partition("(")[0] == words), None)
    if link is None:
        return message
    return f"{message}: it is a link that is broken, as in netfault.forward(server).{link}"


def _lookup(table: dict[str, str], word: str) -> str | None:
    return next((ours for ours, theirs in table.items() if word in theirs.split()), None)
