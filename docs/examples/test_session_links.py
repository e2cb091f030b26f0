"""A link for a whole session: opened once, broken by single tests, whole again for the next one."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from pytest_netfault import Link, NetFault


@pytest.fixture(scope="session")
def shop(
    netfault_factory: Callable[[], AbstractContextManager[NetFault]], hello_server: tuple[str, int]
) -> Iterator[Link]:
    """The link to the shop. A service that is started once for all tests is configured with its address."""
    with netfault_factory() as net:
        yield net.forward(hello_server)


def get(link: Link) -> int:
    connection = http.client.HTTPConnection(link.host, link.port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_shop_is_up(shop: Link) -> None:
    assert get(shop) == 200


def test_the_shop_is_down(shop: Link) -> None:
    with shop.refuse():  # with its block the fault ends, and the next test finds the link whole
        with pytest.raises(ConnectionRefusedError):
            get(shop)


def test_the_shop_is_up_again(shop: Link) -> None:
    assert get(shop) == 200
