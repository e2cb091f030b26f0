"""``python -m pytest_netfault`` is ``netfault``."""

from __future__ import annotations

import sys

from pytest_netfault.cli import main

sys.exit(main())
