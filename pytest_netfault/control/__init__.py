"""The blocking API of the proxy: links, the faults on them, and an observer of both.

::

    test's thread                      the proxy's thread (trio)
    NetFault.forward() ---- call ----> a listener, connections, faults
    Link.sever()       ---- call ----> one step, done before the call returns

Rules of this file:

* Every method may be called from any thread, also beside an asyncio or trio loop; each returns in milliseconds and
  never waits for data.
* Nothing is decided here. Faults are data of :mod:`pytest_netfault.faults`; each fault method is one line over
  :meth:`Link.apply`.
* One :class:`ProxyThread` owns the thread; a :class:`NetFault` owns links; a :class:`Link` owns its port. They are
  released in reverse order; releasing is idempotent.
* An :class:`Observer` is called without any lock held, so that it may call everything here.
"""

from __future__ import annotations

from pytest_netfault.control.link import ActiveFault, Link
from pytest_netfault.control.netfault import NetFault, net_on
from pytest_netfault.control.observer import Observer
from pytest_netfault.proxy.observation import ConnectionInfo
from pytest_netfault.proxy.thread import NetFaultClosed, ProxyThread

__all__ = [
    "ActiveFault",
    "ConnectionInfo",
    "Link",
    "NetFault",
    "NetFaultClosed",
    "Observer",
    "ProxyThread",
    "net_on",
]
