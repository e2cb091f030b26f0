"""Names, keys and sections, and how they lie in the store."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_config import UNSET, Key, Section
from runtime_config._etcd.layout import Layout
from runtime_config.keys import key_named
from runtime_config.stored import stored_name

segments = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
names = st.lists(segments, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a/b", "a b", "ä", "_a", "a.-b", "a\n", "a\0"])
def test_a_bad_name_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid name"):
        Key(name, int)
    with pytest.raises(ValueError, match="not a valid name"):
        Section(name)


@pytest.mark.parametrize("name", [None, 5, b"a.b"])
def test_a_name_is_a_str(name: Any) -> None:
    with pytest.raises(TypeError, match="must be a str"):
        Key(name, int)


def test_a_default_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be the default"):
        Key("keys.bad_default", int, default="many")  # type: ignore[misc, arg-type]


def test_keys_and_sections_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Key("keys.fixed", int).name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Section("keys").name = "other"  # type: ignore[misc]


def test_a_key_is_its_name() -> None:
    key = Key("keys.same", int)
    assert key == Key("keys.same", str)
    assert key == "keys.same"
    assert {key: 1} == {"keys.same": 1}
    assert key != Section("keys.same")
    assert repr(key) == "Key('keys.same', int)"
    assert key.default is UNSET


def test_undeclared_keys_are_bytes_and_the_last_declaration_counts() -> None:
    assert key_named("keys.never_declared").codec.decode(b"x") == b"x"
    Key("keys.twice", int)
    Key("keys.twice", str)
    assert key_named("keys.twice").codec.decode(b"5") == "5"


@given(names)
def test_a_name_comes_back_from_the_store(name: str) -> None:
    layout = Layout("/config/prod")
    assert layout.name(layout.raw(name)) == name
    assert layout.raw(name) in layout.whole


@given(names, names)
def test_a_section_holds_exactly_what_is_below_it(section: str, name: str) -> None:
    layout = Layout("/r")
    held = layout.raw(name) in layout.range_of(Section(section))
    assert held == name.startswith(section + ".")
    assert held == (name in Section(section))


def test_app_is_not_app2() -> None:
    layout = Layout("/r")
    assert layout.raw("app2.x") not in layout.range_of(Section("app"))
    assert layout.raw("app-2.x") not in layout.range_of(Section("app"))
    assert layout.raw("app") not in layout.range_of(Section("app"))
    assert layout.raw("app.x") in layout.range_of(Section("app"))
    assert b"/r2/app" not in layout.whole
    assert layout.identity in layout.whole
    assert layout.slot("ff") not in layout.whole
    assert layout.fence("ff") not in layout.whole


@given(st.binary(max_size=30))
def test_foreign_keys_are_none_of_ours(raw: bytes) -> None:
    name = Layout("/r").name(b"/r/" + raw)
    assert name is None or Layout("/r").raw(name) == b"/r/" + raw


@pytest.mark.parametrize(
    "raw", [b"/r/~identity", b"/r/.writes/00", b"/r/.fences/ff", b"/r", b"/other/a", b"/r/a//b"]
)
def test_the_wrappers_own_keys_have_no_name(raw: bytes) -> None:
    assert stored_name(raw, "/r") is None


@pytest.mark.parametrize("root", ["", "/", "config", "//a", "/a\0b"])
def test_a_bad_root_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="root must look like"):
        Layout(root)


def test_a_root_is_a_str() -> None:
    with pytest.raises(TypeError, match="root must be a str"):
        Layout(b"/a")  # type: ignore[arg-type]
