"""What ``/metrics`` shows, in the text format of Prometheus."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from pytest_netfault.serve.collection import Collection

__all__ = ["Metrics"]

_STARTED = time.time()
_STREAMS = {"up": "upstream", "down": "downstream"}


@dataclass(frozen=True)
class Metrics:
    """Which metrics are shown.

    Attributes:
        proxies: bytes received and sent by each proxy and direction.
        runtime: this process: processor time, memory, descriptors, threads. What only a Go program has is not imitated.
    """

    proxies: bool
    runtime: bool

    def page(self, collection: Collection) -> str:
        """The page."""
        lines: list[str] = []
        if self.proxies:
            lines += _of_proxies(collection)
        if self.runtime:
            lines += _of_process()
        return "".join(f"{line}\n" for line in lines)


def _of_proxies(collection: Collection) -> Iterable[str]:
    seen = [(proxy, proxy.bytes()) for proxy in collection]
    for what, verb in (("received", "received from the sender"), ("sent", "sent to the receiver")):
        name = f"toxiproxy_proxy_{what}_bytes_total"
        yield f"# HELP {name} Bytes {verb} of this direction."
        yield f"# TYPE {name} counter"
        for proxy, counts in seen:
            for way, stream in _STREAMS.items():
                labels = {
                    "direction": stream,
                    "listener": proxy.listen,
                    "proxy": proxy.name,
                    "upstream": proxy.upstream,
                }
                text = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
                yield f"{name}{{{text}}} {counts[f'{way}_{what}']}"


def _of_process() -> Iterable[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield from _one("process_cpu_seconds_total", "counter", usage.ru_utime + usage.ru_stime)
    yield from _one("process_start_time_seconds", "gauge", _STARTED)
    yield from _one("process_threads", "gauge", threading.active_count())
    with contextlib.suppress(OSError):  # there is no /proc everywhere
        yield from _one("process_open_fds", "gauge", len(os.listdir("/proc/self/fd")))  # noqa: PTH208
        with open("/proc/self/statm") as file:  # noqa: PTH123
            pages = file.read().split()
        size = resource.getpagesize()
        yield from _one("process_virtual_memory_bytes", "gauge", int(pages[0]) * size)
        yield from _one("process_resident_memory_bytes", "gauge", int(pages[1]) * size)
    yield from _one("process_max_fds", "gauge", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    build = {"version": _version(), "python": platform.python_version()}
    labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in build.items())
    yield "# HELP netfault_build_info What this server is."
    yield "# TYPE netfault_build_info gauge"
    yield f"netfault_build_info{{{labels}}} 1"


def _one(name: str, kind: str, value: float) -> Iterable[str]:
    yield f"# TYPE {name} {kind}"
    yield f"{name} {value!r}"


def _version() -> str:
    try:
        return version("pytest-netfault")
    except PackageNotFoundError:
        return "unknown"


def _escaped(text: str) -> str:
    r"""A label's value.

    >>> print(_escaped('a"b\n'))
    a\"b\n
    """
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
