"""How bytes move: sockets and one trio thread. Knows nothing of pytest, hypothesis or any store.

Public here is what a fault of your own needs: :class:`CustomFault`, :class:`Place`, :class:`Stage`,
:class:`Ending` and :class:`Added`.
"""

from __future__ import annotations

from pytest_netfault.proxy.stacking import CustomFault, Place
from pytest_netfault.proxy.stage import Added, Data, Ending, Item, Stage

__all__ = ["Added", "CustomFault", "Data", "Ending", "Item", "Place", "Stage"]
