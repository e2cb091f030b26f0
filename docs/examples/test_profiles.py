"""Profiles of hypothesis for tests that go over a network. In a project this stands in ``conftest.py``.

Whoever runs the tests chooses one: ``pytest --hypothesis-profile=network-nightly``.
"""

from __future__ import annotations

import urllib.request

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    GitHubArtifactDatabase,
    MultiplexedDatabase,
    ReadOnlyDatabase,
)

# What failed on one machine is tried first on the next. Developers also read what the CI jobs of the project found.
FOLDER = DirectoryBasedExampleDatabase(".hypothesis/examples")
SHARED = MultiplexedDatabase(
    FOLDER,
    ReadOnlyDatabase(GitHubArtifactDatabase("your-organisation", "your-project")),
)

# An outage takes its time, so there is no deadline; print_blob lets a colleague repeat a failure as it was.
settings.register_profile("network", deadline=None, print_blob=True, max_examples=20)
settings.register_profile("network-developer", settings.get_profile("network"), database=SHARED)
# At night other inputs each time, and many of them; at a push always the same few would do. In CI Hypothesis saves
# nothing unless it is told where: this is what the job uploads.
settings.register_profile(
    "network-nightly", settings.get_profile("network"), max_examples=500, derandomize=False, database=FOLDER
)


@settings(settings.get_profile("network"), max_examples=5)
@given(size=st.integers(1, 50))
def test_an_answer_in_small_pieces_is_an_answer(netfault_factory, hello_server, size):
    with netfault_factory() as net:
        link = net.forward(hello_server)
        with link.slice(size), urllib.request.urlopen(f"http://{link.address}/", timeout=5) as answer:
            assert answer.read() == b"hello, world\n"
