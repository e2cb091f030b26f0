"""The suite's Redis is a service of Docker Compose, on a port that Docker chooses. The link leads to that port."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def compose():
    """What the suite had: the services are up."""

    def run(*command):
        ran = subprocess.run(
            ["docker", "compose", *command], cwd=FOLDER, capture_output=True, text=True, timeout=300
        )
        if ran.returncode != 0:
            pytest.skip(f"docker compose: {ran.stderr.strip().splitlines()[-1]}")
        return ran.stdout.strip()

    if shutil.which("docker") is None:
        pytest.skip("Docker is not installed")
    run("up", "--detach", "--wait")
    yield run
    run("down", "--volumes")


@pytest.fixture(scope="session")
def redis_address(compose, netfault_factory):
    with netfault_factory() as net:
        yield net.forward(compose("port", "redis", "6379")).address
