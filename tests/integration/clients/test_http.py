"""HTTP/1.1 and HTTP/2 over TLS by httpx, against nginx."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from pytest_netfault import Link

names = itertools.count()


def put_and_get(client: Any, helpers: Any, version: str) -> Callable[[], None]:
    name = f"/put/{next(names)}"

    def exchange() -> None:
        stored = client.put(name, content=helpers.blob)
        stored.raise_for_status()
        answer = client.get(name)
        answer.raise_for_status()
        assert answer.http_version == version
        helpers.check(answer.content)

    return exchange


@pytest.mark.slow
def test_http_1(play: Callable[..., None], case: Any, nginx_address: str, helpers: Any) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        client = httpx.Client(base_url=f"http://{link.address}", timeout=None, trust_env=False)
        return put_and_get(stack.enter_context(client), helpers, "HTTP/1.1")

    play(nginx_address, case, connect, (httpx.HTTPError,), reconnects=True)


@pytest.mark.slow
def test_http_2_over_tls(
    play: Callable[..., None], case: Any, nginx_tls_address: str, certificate: Any, helpers: Any
) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    pytest.importorskip("h2", reason="h2 is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        client = httpx.Client(
            base_url=f"https://{link.address}",
            http1=False,
            http2=True,
            verify=certificate.client(),
            timeout=None,
            trust_env=False,
        )
        return put_and_get(stack.enter_context(client), helpers, "HTTP/2")

    play(nginx_tls_address, case, connect, (httpx.HTTPError,), reconnects=True)
