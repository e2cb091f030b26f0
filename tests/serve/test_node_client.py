"""toxiproxy-node-client as npm has it, against our server.

``NETFAULT_TOXIPROXY_NODE`` names a folder into which ``npm install toxiproxy-node-client`` was run; ``.ci/run`` does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.serving import Serving, Upstream

pytestmark = pytest.mark.slow

FOLDER = os.environ.get("NETFAULT_TOXIPROXY_NODE", "")


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on this machine")
@pytest.mark.skipif(
    not (Path(FOLDER) / "node_modules" / "toxiproxy-node-client").exists() or not FOLDER,
    reason="NETFAULT_TOXIPROXY_NODE names no folder with toxiproxy-node-client (npm install)",
)
def test_it_does_all_that_it_can(serving: Serving, upstream: Upstream) -> None:
    ended = subprocess.run(
        ["node", str(Path(__file__).with_name("node_client.js")), serving.url, upstream.address],
        env={**os.environ, "NODE_PATH": str(Path(FOLDER) / "node_modules")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "all as it should be\n"), ended.stderr
