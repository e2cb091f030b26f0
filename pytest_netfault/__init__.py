"""Network faults as pytest fixtures, and a proof that no update is lost.

This is the public face: names only. Each is imported when it is first used, because pytest loads the plugin
(and with it this package) in every session, also in those that never touch a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_netfault.common.lazy import lazily
from pytest_netfault.common.renamed import renamed

if TYPE_CHECKING:
    from pytest_netfault import verify as verify
    from pytest_netfault.control import ActiveFault as ActiveFault
    from pytest_netfault.control import ConnectionInfo as ConnectionInfo
    from pytest_netfault.control import Link as Link
    from pytest_netfault.control import NetFault as NetFault
    from pytest_netfault.control import NetFaultClosed as NetFaultClosed
    from pytest_netfault.events import LinkEvent as LinkEvent
    from pytest_netfault.events import LinkWarning as LinkWarning
    from pytest_netfault.faults import Blackhole as Blackhole
    from pytest_netfault.faults import Corrupt as Corrupt
    from pytest_netfault.faults import Cut as Cut
    from pytest_netfault.faults import Delay as Delay
    from pytest_netfault.faults import Fault as Fault
    from pytest_netfault.faults import Forget as Forget
    from pytest_netfault.faults import Frame as Frame
    from pytest_netfault.faults import Lose as Lose
    from pytest_netfault.faults import Refuse as Refuse
    from pytest_netfault.faults import Reset as Reset
    from pytest_netfault.faults import Sever as Sever
    from pytest_netfault.faults import Slice as Slice
    from pytest_netfault.faults import StallAccept as StallAccept
    from pytest_netfault.faults import Throttle as Throttle
    from pytest_netfault.faults import UnsupportedFault as UnsupportedFault
    from pytest_netfault.plugin.fixtures import NetFaultFactory as NetFaultFactory
    from pytest_netfault.plugin.shared_etcd import EtcdCluster as EtcdCluster
    from pytest_netfault.plugin.shared_etcd import EtcdServer as EtcdServer
    from pytest_netfault.proof.process_store import ProcessStore as ProcessStore
    from pytest_netfault.proxy.tls.settings import TLS as TLS
    from pytest_netfault.schedules.schedule import Schedule as Schedule
    from pytest_netfault.schedules.steps import Break as Break
    from pytest_netfault.schedules.steps import Compact as Compact
    from pytest_netfault.schedules.steps import Delete as Delete
    from pytest_netfault.schedules.steps import Heal as Heal
    from pytest_netfault.schedules.steps import Pause as Pause
    from pytest_netfault.schedules.steps import Restart as Restart
    from pytest_netfault.schedules.steps import Resume as Resume
    from pytest_netfault.schedules.steps import Subscribe as Subscribe
    from pytest_netfault.schedules.steps import WaitForBytes as WaitForBytes
    from pytest_netfault.schedules.steps import WaitForConnection as WaitForConnection
    from pytest_netfault.schedules.steps import WaitForEvents as WaitForEvents
    from pytest_netfault.schedules.steps import Write as Write
    from pytest_netfault.schedules.steps import WriteMany as WriteMany
    from pytest_netfault.store import AsyncStore as AsyncStore
    from pytest_netfault.store import Delivery as Delivery
    from pytest_netfault.store import Event as Event
    from pytest_netfault.store import OpenStore as OpenStore
    from pytest_netfault.store import Resync as Resync
    from pytest_netfault.store import Store as Store
    from pytest_netfault.store import WriteRejected as WriteRejected
    from pytest_netfault.verify import ProvedNothing as ProvedNothing
    from pytest_netfault.verify import Report as Report
    from pytest_netfault.verify import UpdateLost as UpdateLost

__all__ = [
    "TLS",
    "ActiveFault",
    "AsyncStore",
    "Blackhole",
    "Break",
    "Compact",
    "ConnectionInfo",
    "Corrupt",
    "Cut",
    "Delay",
    "Delete",
    "Delivery",
    "EtcdCluster",
    "EtcdServer",
    "Event",
    "Fault",
    "Forget",
    "Frame",
    "Heal",
    "Link",
    "LinkEvent",
    "LinkWarning",
    "Lose",
    "NetFault",
    "NetFaultClosed",
    "NetFaultFactory",
    "OpenStore",
    "Pause",
    "ProcessStore",
    "ProvedNothing",
    "Refuse",
    "Report",
    "Reset",
    "Restart",
    "Resume",
    "Resync",
    "Schedule",
    "Sever",
    "Slice",
    "StallAccept",
    "Store",
    "Subscribe",
    "Throttle",
    "UnsupportedFault",
    "UpdateLost",
    "WaitForBytes",
    "WaitForConnection",
    "WaitForEvents",
    "Write",
    "WriteMany",
    "WriteRejected",
    "verify",
]


_HOMES = {
    "": "verify",
    "control": "ActiveFault ConnectionInfo Link NetFault NetFaultClosed",
    "events": "LinkEvent LinkWarning",
    "faults": (
        "Blackhole Corrupt Cut Delay Fault Forget Frame Lose Refuse Reset Sever Slice StallAccept Throttle "
        "UnsupportedFault"
    ),
    "plugin.fixtures": "NetFaultFactory",
    "plugin.shared_etcd": "EtcdCluster EtcdServer",
    "proof.process_store": "ProcessStore",
    "proxy.tls.settings": "TLS",
    "schedules.schedule": "Schedule",
    "schedules.steps": (
        "Break Compact WaitForConnection Delete Heal WaitForBytes Pause Restart Resume WaitForEvents "
        "Subscribe Write WriteMany"
    ),
    "store": "AsyncStore Delivery Event Resync OpenStore Store WriteRejected",
    "verify": "ProvedNothing Report UpdateLost",
}


if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        lazily(__name__, _HOMES),
        Connected="WaitForConnection",
        Passed="WaitForBytes",
        Seen="WaitForEvents",
    )


def __dir__() -> list[str]:
    return sorted(__all__)
