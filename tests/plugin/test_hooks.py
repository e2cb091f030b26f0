"""Another plugin, through each hook that there is."""

from __future__ import annotations

import inspect
import re
import typing
from pathlib import Path
from typing import Any

import pytest

import pytest_netfault
from pytest_netfault.plugin import hookspecs as hooks
from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import find_binary


def test_every_hook_is_prefixed_typed_and_documented() -> None:
    specifications = [
        value
        for name, value in vars(hooks).items()
        if inspect.isfunction(value) and value.__module__ == hooks.__name__
    ]
    assert len(specifications) == 3
    for hook in specifications:
        assert hook.__name__.startswith("pytest_netfault_")
        assert hook.__doc__
        names = {**vars(hooks), "Link": pytest_netfault.Link, "ActiveFault": pytest_netfault.ActiveFault}
        typing.get_type_hints(hook, globalns=names)


@pytest.mark.slow
def test_links_and_faults_are_told_in_order(sessions: Any) -> None:
    sessions.conftest(
        """
        told = []

        def pytest_netfault_link(link):
            told.append(f"{link.name} opened")
            link.delay(0.001)       # every link of this suite is slow

        def pytest_netfault_fault(link, fault):
            told.append(f"{link.name} {fault.fault!r} {'over' if fault.healed else 'in force'}")
        """
    )
    sessions.file(
        """
        from conftest import told

        def test_it(netfault, netfault_factory, echo, talk):
            link = netfault.forward(echo, name="store")
            talk(link)
            link.reset()
            with netfault_factory() as net, net.forward(echo).refuse():
                pass
            assert told == [
                "store opened", "store Delay(0.001) in force", "store Reset() over",
                "link1 opened", "link1 Delay(0.001) in force", "link1 Refuse() in force",
            ]
        """
    )
    sessions.run("-W", "ignore::pytest_netfault.LinkWarning").assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_conftest_is_told_of_the_links_of_its_own_tests(sessions: Any) -> None:
    quiet, loud = sessions.pytester.mkpydir("quiet"), sessions.pytester.mkpydir("loud")
    (loud / "conftest.py").write_text("def pytest_netfault_link(link):\n    print('told', link.name)\n")
    for directory, name in ((quiet, "hushed"), (loud, "heard")):
        test = f"def test_it(netfault, echo):\n    netfault.forward(echo, name='{name}')\n"
        (directory / "test_it.py").write_text(test)
    result = sessions.run("-s", "loud", "quiet")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*told heard*"])
    result.stdout.no_fnmatch_line("*told hushed*")


@pytest.mark.slow
def test_an_exception_of_a_hook_fails_the_test_and_leaves_nothing(sessions: Any, refuses: Any) -> None:
    sessions.conftest(
        """
        def pytest_netfault_link(link):
            print("port", link.port)
            raise LookupError("not on my watch")
        """
    )
    sessions.file("def test_it(netfault, echo): netfault.forward(echo)")
    result = sessions.run("-s")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*LookupError: not on my watch"])
    (port,) = (line.split()[-1] for line in result.outlines if "py port" in line)
    assert refuses(int(port))


ANOTHER_SERVER = """
    class Store:
        address = "127.0.0.1:1"
        steps = []

        def revision(self):
            return 3

        def log(self, after_revision):
            return ["one", "two"][after_revision:]

        def start(self):
            self.steps.append("start")

        def close(self):
            print("closed after", self.steps)


    def pytest_netfault_etcd(config):
        return Store() if config.rootpath.name else None
"""


@pytest.mark.slow
def test_another_server_may_stand_behind_etcd_server(sessions: Any) -> None:
    sessions.conftest(ANOTHER_SERVER)
    sessions.file(
        """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(etcd_server, number):
            assert etcd_server.address == "127.0.0.1:1"
            assert (etcd_server.revision(), etcd_server.log(1)) == (3, ["two"])
            assert not hasattr(etcd_server, "compact")

        def test_without():
            pass
        """
    )
    result = sessions.run("-s", "--netfault-etcd=/is/not/looked/at")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*closed after [[]'start'[]]"])


@pytest.mark.slow
def test_a_plugin_that_knows_a_hook_that_is_not_there_is_told(sessions: Any) -> None:
    sessions.conftest("def pytest_netfault_lonk(link): pass")
    sessions.file("def test_it(): pass")
    result = sessions.run()
    result.stdout.fnmatch_lines(["*unknown hook 'pytest_netfault_lonk'*"])
    assert result.ret != 0


EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"


@pytest.mark.slow
def test_the_example_plugin_uses_each_hook(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        option = f"--netfault-etcd={find_binary()}"
    except ServerError as error:
        pytest.skip(f"the example starts an etcd: {error}")
    text = (EXAMPLES / "house_plugin.py").read_text(encoding="utf-8")
    named = {
        name
        for name, value in vars(hooks).items()
        if inspect.isfunction(value) and name.startswith("pytest_")
    }
    assert set(re.findall(r"def (pytest_netfault_\w+)", text)) == named
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    sessions.file(
        """
        import logging
        import urllib.error
        import urllib.request

        import pytest

        def test_it(netfault, etcd_server, echo, talk, caplog):
            caplog.set_level(logging.INFO)
            link = netfault.forward(echo, name="store")
            with link.delay(0.001):
                talk(link)
            with link.refuse():
                pass
            assert caplog.messages == [f"store leads from {link.address} to {link.upstream}"]
            body = b'{"key": "YQ==", "value": "%s"}' % (b"AAAA" * 100_000)
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://{etcd_server.address}/v3/kv/put", body, timeout=10)
        """
    )
    result = sessions.run(option, plugins=["house_plugin"])
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "faults that no test has tried: "
            + ", ".join(
                ["Blackhole", "Corrupt", "Cut", "Forget", "Lose", "Reset", "Sever", "Slice", "StallAccept"]
            )
            + ", Throttle"
        ]
    )
