"""Django keeps addresses in its settings: they are changed before the first connection is made."""

import os
import sys
from pathlib import Path

import pytest

from pytest_netfault import NetFault

settings = pytest.importorskip("django.conf", reason="the package django is not installed").settings

# As manage.py and pytest-django do it.
sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")


def pytest_configure(config):
    net, database, cache = NetFault(), settings.DATABASES["default"], settings.CACHES["default"]
    config.add_cleanup(net.close)
    link = net.forward(f"{database['HOST']}:{database['PORT']}")
    database.update(HOST=link.host, PORT=link.port)
    cache["LOCATION"] = "redis://" + net.forward(cache["LOCATION"].removeprefix("redis://")).address
