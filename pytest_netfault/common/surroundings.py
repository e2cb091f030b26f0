"""When and with what something was done: for people who read about it later, on another machine."""

from __future__ import annotations

import platform
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

__all__ = ["versions", "wall_clock"]


def wall_clock(moment: float) -> str:
    """The date and time of a moment of this process, in UTC.

    Args:
        moment: ``time.monotonic()`` in seconds.

    >>> wall_clock(time.monotonic())[:2]
    '20'
    """
    then = datetime.fromtimestamp(time.time() - (time.monotonic() - moment), tz=timezone.utc)
    return f"{then:%Y-%m-%d %H:%M:%S}.{then.microsecond // 1000:03d} UTC"


def versions(*packages: str) -> str:
    """The versions of this package, of others that are installed, of Python, and of the system.

    >>> versions("no-such-package").startswith("pytest-netfault ")
    True
    """
    found = [
        f"{package} {known}" for package in ("pytest-netfault", *packages) if (known := _version(package))
    ]
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return ", ".join([*found, f"{platform.python_implementation()} {platform.python_version()}", system])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
