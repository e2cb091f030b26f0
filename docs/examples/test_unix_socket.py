"""A link from and to Unix sockets."""

from __future__ import annotations

import socket
import socketserver
import threading

import pytest


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


@pytest.fixture
def echo(tmp_path):
    path = tmp_path / "echo.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"unix:{path}"
        server.shutdown()
        thread.join()


def test_from_a_unix_socket_to_a_unix_socket(netfault, echo, tmp_path):
    link = netfault.forward(echo, listen=f"unix:{tmp_path}/link.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(link.host)  # the path
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"

        link.sever()
        assert client.recv(100) == b""  # closed in order


def test_from_a_port_to_a_unix_socket(netfault, echo):
    link = netfault.forward(echo)
    with socket.create_connection((link.host, link.port)) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
