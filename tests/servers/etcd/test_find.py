from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.servers.errors import ServerError, ServerNotFound
from pytest_netfault.servers.etcd import EtcdServer
from pytest_netfault.servers.etcd import find as find_module
from pytest_netfault.servers.etcd.find import EtcdAddress, EtcdBinary, EtcdImage, find_etcd, read_option


def _program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any etcd; the folder returned is its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")

    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    return folder


# -- what the user named -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("127.0.0.1:2379", EtcdAddress("127.0.0.1:2379")),
        ("[::1]:2379", EtcdAddress("[::1]:2379")),
        ("etcd.internal:1", EtcdAddress("etcd.internal:1")),
        ("docker", EtcdImage(None)),
        ("docker:etcd", EtcdImage("etcd")),
        ("docker:5000", EtcdImage("5000")),
        ("docker:local/etcd:3.7.3", EtcdImage("local/etcd:3.7.3")),
        ("docker:host:5000/etcd@sha256:00", EtcdImage("host:5000/etcd@sha256:00")),
        ("/usr/bin/etcd", EtcdBinary(Path("/usr/bin/etcd"))),
        ("./a:1", EtcdBinary(Path("a:1"))),
        ("etcd-3.5", EtcdBinary(Path("etcd-3.5"))),
    ],
)
def test_what_may_be_named(text: str, source: object) -> None:
    assert read_option(text) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "--netfault-etcd='' is empty: write HOST:PORT, docker, docker:IMAGE, or the path of an etcd binary",
        ),
        ("  ", "is empty"),
        ("docker:", "--netfault-etcd=docker: names no image: write docker:IMAGE, or docker alone"),
        ("docker:a b", "names no image"),
        ("http://127.0.0.1:2379", "--netfault-etcd=http://127.0.0.1:2379 is a URL: write HOST:PORT"),
        ("127.0.0.1:", "--netfault-etcd=127.0.0.1: cannot be used: write HOST:PORT, docker,"),
        ("127.0.0.1:99999", r"cannot be used: .*\('127.0.0.1:99999' is not an address"),
        ("::1", "cannot be used"),
    ],
)
def test_what_may_not_be_named_is_refused_in_a_sentence(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_etcd(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    source: object = None
    refusal = ""
    try:
        source = read_option(text)
    except ValueError as error:
        refusal = str(error)
    assert refusal.startswith("--netfault-etcd=") or isinstance(source, (EtcdAddress, EtcdBinary, EtcdImage))


def test_a_named_binary_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing: Path) -> None:
    binary = _program(tmp_path / "my-etcd")
    assert find_etcd(str(binary)) == EtcdBinary(binary)
    monkeypatch.chdir(tmp_path)
    assert find_etcd("./my-etcd") == EtcdBinary(binary)
    assert find_etcd("my-etcd") == EtcdBinary(binary)
    elsewhere = _program(nothing / "etcd-3.5")
    assert find_etcd("etcd-3.5") == EtcdBinary(elsewhere)


def test_a_named_binary_that_cannot_be_used_is_an_error_although_another_could(tmp_path: Path) -> None:
    with pytest.raises(
        ServerError, match="--netfault-etcd=/nowhere/etcd cannot be used: /nowhere/etcd is not there"
    ):
        find_etcd("/nowhere/etcd")
    with pytest.raises(ServerError, match="is a directory"):
        find_etcd(str(tmp_path))
    text = tmp_path / "text"
    text.write_text("")
    with pytest.raises(ServerError, match="is not executable"):
        find_etcd(str(text))
    with pytest.raises(ServerError) as caught:
        find_etcd("no-such-program")
    assert not isinstance(caught.value, ServerNotFound)


# -- what is found -----------------------------------------------------------------------------------------


def test_a_program_on_path_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = _program(tmp_path / "etcd")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_etcd() == EtcdBinary(binary)


def test_the_wheel_is_found_although_its_scripts_are_not_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    source = find_etcd()
    assert isinstance(source, EtcdBinary)
    assert source.path.parent.name == "etcdbin"
    with source.start() as server:
        assert server.version == "3.5.1"


def test_the_wheel_s_program_is_run_without_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    source = find_etcd()
    assert isinstance(source, EtcdBinary)
    assert source.path.parent.name == "etcdbin"


def test_a_script_of_another_environment_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(sys.executable).parent / "etcd"
    monkeypatch.delenv("PATH", raising=False)
    with EtcdServer(script) as server:
        assert server.revision() == 1
        server.restart()
        assert server.revision() == 1


@pytest.mark.usefixtures("nothing")
def test_a_wheel_without_its_program_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged:
        files = None

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: Damaged())
    with pytest.raises(ServerNotFound):
        find_etcd()


def test_docker_comes_last(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_netfault.servers.etcd.docker.newest_image", lambda: "local/etcd:1")
    assert find_etcd() == EtcdImage("local/etcd:1")
    binary = _program(nothing / "etcd")
    assert find_etcd() == EtcdBinary(binary)


@pytest.mark.usefixtures("nothing")
def test_a_machine_without_any_is_told_all_four_ways() -> None:
    with pytest.raises(ServerNotFound) as caught:
        find_etcd()
    text = str(caught.value)
    for way in (
        "--netfault-etcd=HOST:PORT",
        "--netfault-etcd=PATH",
        "pip install 'pytest-netfault[etcd]'",
        "--netfault-etcd=docker[:IMAGE]",
    ):
        assert way in text
    assert "no Docker engine answers" in text
    assert "\n" not in text


def test_an_address_is_attached_to(any_binary: Path) -> None:
    with EtcdServer(any_binary) as server:
        attached = find_etcd(server.address).start()
        assert attached.version == server.version
        attached.close()


def test_looking_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pytest_netfault.servers.etcd.find import find_etcd; find_etcd('docker'); find_etcd('h:1');"
        "print(sorted({'docker', 'requests', 'grpc', 'trio', 'pytest', 'hypothesis'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == "[]\n"


def test_the_sources_have_what_a_plugin_calls() -> None:
    assert {source.__name__ for source in find_module.EtcdSource.__args__} == {
        "EtcdAddress",
        "EtcdBinary",
        "EtcdImage",
    }
    assert all(callable(source.start) for source in find_module.EtcdSource.__args__)
