"""Links in tests of unittest: with the fixture where pytest runs them, with a NetFault of their own elsewhere."""

from __future__ import annotations

import socket
import socketserver
import threading
import unittest
from contextlib import suppress

import pytest

from pytest_netfault import NetFault


class Echo(socketserver.StreamRequestHandler):
    """Sends back each line that it receives."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            for line in self.rfile:
                self.wfile.write(line)


def echo_server(test: unittest.TestCase) -> tuple[str, int]:
    """The address of a server that ends with the test."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
    test.addCleanup(server.server_close)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    test.addCleanup(thread.join)
    test.addCleanup(server.shutdown)
    return "127.0.0.1", server.server_address[1]


class RunByPytest(unittest.TestCase):
    """pytest runs it: the fixture heals and closes, and a failure shows what the network did."""

    @pytest.fixture(autouse=True)
    def _network(self, netfault: NetFault) -> None:
        self.netfault = netfault

    def test_a_reset_is_an_error(self) -> None:
        link = self.netfault.forward(echo_server(self))
        with socket.create_connection((link.host, link.port), timeout=5) as client:
            client.sendall(b"hello\n")
            self.assertEqual(client.recv(6), b"hello\n")
            link.reset()
            with self.assertRaises(ConnectionResetError):
                client.recv(6)


class RunByUnittest(unittest.TestCase):
    """``python -m unittest`` runs it as well: it needs no plugin, and no pytest."""

    def setUp(self) -> None:
        address = echo_server(self)
        net = NetFault()
        self.addCleanup(net.close)
        self.link = net.forward(address)

    def test_a_silent_server_is_noticed(self) -> None:
        with socket.create_connection((self.link.host, self.link.port), timeout=0.2) as client:
            with self.link.blackhole(), self.assertRaises(TimeoutError):
                client.recv(1)


if __name__ == "__main__":
    unittest.main()
