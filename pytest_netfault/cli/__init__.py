"""The ``netfault`` command.

netfault demo                   a real etcd, the naive loop caught, the bundled wrapper proved
netfault examples DIR           the examples of the documentation as files
netfault prove MODULE:NAME      a client of yours, under generated outages
netfault judge PLACE...         judge recorded traces, histories and acknowledgements
netfault replay TRACE           play the schedule of a recorded loss again
netfault merge PLACE...         the parts of a proof as one report
netfault export PAGE            a timeline as Chrome trace events, for Perfetto
netfault index DIR              one page about what failing tests have left
netfault serve                  links and faults over HTTP, with the API of Toxiproxy
"""

from __future__ import annotations

from pytest_netfault.cli.commands import main

__all__ = ["main"]
