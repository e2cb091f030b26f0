"""The public face: exactly what is promised, and nothing of what must stay behind it."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import runtime_config

PROMISED = {
    "ConfigStore", "Key", "Section", "Codec", "JSON", "TLS", "UNSET",
    "Versioned", "ABSENT", "Absent", "Values",
    "Snapshot", "Changes", "Updated", "Deleted", "Resynced", "Undecodable", "Item",
    "Subscription", "Live", "Handle", "Transaction", "Health", "Counters",
    "State", "CONNECTING", "SYNCED", "STALE", "CLOSED",
    "ConfigError", "Unavailable", "DeadlineExceeded", "OutcomeUnknown", "Conflict", "KeyNotSet", "DecodeError",
    "EncodeError", "ValueTooLarge", "StoreFull", "AuthenticationFailed", "PermissionDenied", "Closed",
}  # fmt: skip


def test_the_face_shows_exactly_what_is_promised() -> None:
    assert set(runtime_config.__all__) == PROMISED
    assert len(runtime_config.__all__) == len(PROMISED)


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_each_name_is_there_and_documented(name: str) -> None:
    value = getattr(runtime_config, name)
    if inspect.isclass(value):
        assert inspect.getdoc(value)


def test_every_public_method_of_the_store_is_documented() -> None:
    for name, member in inspect.getmembers(runtime_config.ConfigStore):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


def test_every_error_is_one_of_ours() -> None:
    for name in PROMISED:
        value = getattr(runtime_config, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, runtime_config.ConfigError)


@pytest.mark.slow
def test_importing_brings_neither_pytest_nor_its_plugin() -> None:
    code = (
        "import sys, runtime_config; print(sorted({'pytest', 'pytest_netfault', 'trio'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
