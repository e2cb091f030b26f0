"""A suite for a storm: nothing in it knows of faults, only its client connects to the address of a link.

As it is: ``pytest test_storm.py``. Under faults: ``pytest --netfault-storm --netfault-storm-seconds=2 test_storm.py``.
"""

from __future__ import annotations

import http.client

import pytest

from pytest_netfault import NetFault


class Shop:
    """The client under test: it asks a shop, and has forgotten to say how long it would wait."""

    timeout: float | None = None

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self) -> str:
        connection = http.client.HTTPConnection(self.address, timeout=self.timeout)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()


class PatientShop(Shop):
    """The same, mended: what may be asked twice is asked again, and a shop that says nothing is left."""

    timeout = 0.5

    def ask(self) -> str:
        return self._ask(tries=5)

    def _ask(self, tries: int) -> str:
        try:
            return super().ask()
        except (OSError, http.client.HTTPException):
            if tries == 1:
                raise
        return self._ask(tries - 1)


@pytest.fixture
def address(netfault: NetFault, hello_server: tuple[str, int]) -> str:
    return netfault.forward(
        hello_server
    ).address  # all that a suite needs: this, instead of the server's address


@pytest.mark.netfault_storm(allow=(ConnectionError, http.client.HTTPException), places=6)
def test_the_shop_answers(address: str) -> None:
    assert "hello" in Shop(address).ask()


@pytest.mark.netfault_storm(places=6)
def test_the_patient_shop_answers(address: str) -> None:
    assert "hello" in PatientShop(address).ask()
