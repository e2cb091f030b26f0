"""Who is let in, without a server."""

from __future__ import annotations

import base64

import pytest
from starlette.requests import Request

from pytest_netfault.serve.access import Access
from pytest_netfault.serve.errors import ApiError


def asked(authorization: bytes, *, client: str = "10.0.0.1") -> Request:
    return Request(
        {
            "type": "http",
            "path": "/proxies",
            "client": (client, 5),
            "headers": [(b"authorization", authorization)],
        }
    )


@pytest.mark.parametrize("token", ["secret", "sécret x", "a:b"])
def test_a_token_of_any_characters_is_taken_in_both_forms(token: str) -> None:
    access = Access(token)
    access.check(asked(f"Bearer {token}".encode()))
    access.check(asked(b"Basic " + base64.b64encode(f"netfault:{token}".encode())))
    access.check(asked(b"", client="::1"))


@pytest.mark.parametrize(
    "authorization", [b"", b"Bearer", b"Bearer secret", b"Basic %%%", b"Basic c2VjcmV0", b"\xff"]
)
def test_anything_else_is_refused(authorization: bytes) -> None:
    with pytest.raises(ApiError, match="control from another machine needs the token") as refused:
        Access("sécret").check(asked(authorization))
    assert refused.value.status == 401
