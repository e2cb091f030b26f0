"""A client in another process: tell it the link's address, as the service is told the server's in production."""

from __future__ import annotations

import subprocess
import sys

CLIENT = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode(), end="")
except urllib.error.URLError as error:
    sys.exit(f"unreachable: {error.reason}")
"""


def run_client(link):
    return subprocess.run(
        [sys.executable, "-c", CLIENT, f"http://{link.address}/"], capture_output=True, text=True, timeout=30
    )


def test_the_service_says_so_when_its_server_cannot_be_reached(netfault, hello_server):
    link = netfault.forward(hello_server)
    assert run_client(link).stdout == "hello, world\n"

    with link.refuse():
        refused = run_client(link)
    assert refused.returncode == 1
    assert "refused" in refused.stderr.lower()
