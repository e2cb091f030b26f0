"""No repr and no message shows what proves who we are."""

from __future__ import annotations

from typing import Any

import pytest
from runtime_config import TLS, ConfigStore

SECRET = "s3cr3t-s3cr3t"
NOWHERE = "127.0.0.1:1"


def test_the_content_of_a_key_is_not_shown() -> None:
    tls = TLS(cert=b"public", key=SECRET.encode())
    assert SECRET not in f"{tls!r} {tls} {[tls]}"
    assert "key=<13 bytes>" in repr(tls)
    assert "key='client.key'" in repr(TLS(cert="client.pem", key="client.key"))


def test_the_password_of_a_store_is_not_shown() -> None:
    with ConfigStore(NOWHERE, username="service", password=SECRET, wait=False) as store:
        shown = [repr(store), *(repr(value) for value in vars(store).values())]
    assert SECRET not in "".join(shown)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"username": "service", "password": SECRET.encode()}, TypeError),
        ({"tls": f"-----BEGIN PRIVATE KEY----- {SECRET}"}, TypeError),
        ({"endpoints": f"http://service:{SECRET}@127.0.0.1:2379"}, ValueError),
        ({"endpoints": f"service:{SECRET}@127.0.0.1:2379"}, ValueError),
    ],
    ids=str,
)
def test_a_secret_in_the_wrong_place_is_refused_without_showing_it(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        ConfigStore(**{"endpoints": NOWHERE, "wait": False, **options})
    assert SECRET not in str(caught.value)


def test_a_key_as_text_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="give the content of a PEM file as bytes") as caught:
        TLS(cert=b"public", key=f"-----BEGIN PRIVATE KEY-----\n{SECRET}")
    assert SECRET not in str(caught.value)
    with pytest.raises(TypeError, match="TLS key must be a path or bytes, not a int"):
        TLS(cert=b"public", key=5)  # type: ignore[arg-type]
