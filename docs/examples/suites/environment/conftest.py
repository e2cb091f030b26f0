"""The suite reads `REDIS_URL` when it is imported: the link must be there before."""

import os
from urllib.parse import urlsplit

from pytest_netfault import NetFault

os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:6379/0")  # as the suite had it


# pytest calls this as soon as it has read this file, and that is before it imports the tests beside it.
def pytest_configure(config):
    net, url = NetFault(), urlsplit(os.environ["REDIS_URL"])
    config.add_cleanup(net.close)
    link = net.forward((url.hostname, url.port))
    os.environ["REDIS_URL"] = url.geturl().replace(f"{url.hostname}:{url.port}", link.address)
