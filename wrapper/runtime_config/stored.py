"""For tools that look at the store itself, such as a backup, an audit, or a test that reads the server's log.

A service never needs this: no method of `ConfigStore` takes or returns an etcd key. The promise here is
that values are stored exactly as their codec encodes them, and that names can be distinguished from the
wrapper's own keys.
"""

from __future__ import annotations

from runtime_config._etcd.layout import Layout

__all__ = ["stored_name"]


def stored_name(raw_key: bytes, root: str = "/config") -> str | None:
    """The dotted name behind an etcd key, or None for keys of other roots and for the wrapper's own.

    Raises ValueError for a root that is none.

    >>> stored_name(b"/config/prod/billing/limit", root="/config/prod")
    'billing.limit'
    >>> stored_name(b"/config/prod/~identity", root="/config/prod") is None
    True
    """
    return Layout(root).name(raw_key)
