"""The plain `etcd3` package, importable beside every protobuf from 3.20 on and beside other etcd clients.

    from runtime_config.compat import etcd3
    client = etcd3.client(port=2379)

It is the very package that is installed, unchanged but for where its messages live. After this import a plain
`import etcd3` anywhere else in the process gives the same module.
"""

from __future__ import annotations

from runtime_config._compat import etcd3

__all__ = ["etcd3"]
