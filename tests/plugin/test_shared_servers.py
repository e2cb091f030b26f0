"""A server of another kind, added from outside: one function that starts it, and one fixture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pytest_netfault

# No kind of server that this package knows: it counts what the session does with it.
LAMP = """
    from pytest_netfault.plugin import share_server
    from pytest_netfault.plugin.shared_servers import SharedServer
    from pytest_netfault.servers import ServerNotFound

    class Lamp:
        address = "127.0.0.1:9"

        def __init__(self):
            self.did = []

        def start(self):
            self.did.append("start")

        def resume(self):
            self.did.append("resume")

        def output(self, lines):
            return f"the lamp says: {' '.join(self.did)}"

        def close(self):
            print("the lamp is closed after", *self.did)

    class SharedLamp(SharedServer):
        def heal(self):
            self.server.did.append("heal")

    def open_lamp():
        LACKING
        return SharedLamp(Lamp(), "lamp_server")

    @pytest.fixture(scope="session")
    def lamp_server(request):
        yield from share_server(request, open_lamp)
"""

USES_IT = """
    import pytest

    @pytest.mark.parametrize("number", range(2))
    def test_it(lamp_server, number):
        assert lamp_server.address == "127.0.0.1:9"
        assert repr(lamp_server) == "lamp_server"

    def test_without(netfault):
        pass
"""


def test_a_server_from_outside_is_shared_made_ready_healed_and_closed(sessions: Any) -> None:
    sessions.conftest(LAMP.replace("LACKING", ""))
    sessions.file(USES_IT)
    result = sessions.run("-s")
    result.assert_outcomes(passed=3)
    (closed,) = (line for line in result.outlines if "the lamp is closed after" in line)
    # The first test finds it started. Healing is idempotent: it is done when the function, and when the call has ended.
    did = re.sub(r"(heal )+", "heal ", closed.partition("after ")[2] + " ").split()
    assert did == ["heal", "start", "resume", "heal"]


def test_what_a_server_from_outside_printed_is_kept_for_a_failing_test(sessions: Any) -> None:
    sessions.conftest(LAMP.replace("LACKING", ""))
    sessions.file(
        """
        def test_it(netfault, lamp_server, echo):
            netfault.forward(echo)
            assert 0
        """
    )
    sessions.run("--netfault-output=out").assert_outcomes(failed=1)
    (log,) = (sessions.pytester.path / "out").glob("*/lamp.log")
    assert log.read_text().startswith("the lamp says: ")


@pytest.mark.parametrize("strict", [False, True])
def test_a_machine_without_a_server_from_outside_skips_or_strictly_fails(sessions: Any, strict: bool) -> None:
    sessions.conftest(LAMP.replace("LACKING", "raise ServerNotFound('no lamp was found: buy one')"))
    sessions.file(USES_IT)
    result = sessions.run("-rs", *(["--netfault-strict"] if strict else []))
    result.assert_outcomes(passed=1, **({"errors": 2} if strict else {"skipped": 2}))
    result.stdout.fnmatch_lines(["*no lamp was found: buy one*"])


def test_the_session_names_no_kind_of_server() -> None:
    folder = Path(str(pytest_netfault.__file__)).parent / "plugin"
    for name in ("session", "record", "evidence", "network", "keep", "gate"):
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        assert not re.search("etcd|cluster", text, re.IGNORECASE), name
