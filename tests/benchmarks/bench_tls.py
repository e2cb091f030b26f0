"""A TLS link beside a plain one, in one run: ``python tests/benchmarks/bench_tls.py [ROUNDS]``.

A bulk stream to the client, a small question and its answer, connections with one question each, and by how much the
memory of the proxy's process has grown after all of that. Server and client are processes of their own, in Python, and
speak TLS by themselves on the TLS link; on the plain link they speak none. What they reach without a link is shown too,
since they encrypt and decrypt on the same cores. The rounds alternate, so that a slow moment of the machine hits all of
them; shown is the best round of each, because noise only ever takes away.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import trustme

from pytest_netfault import TLS, NetFault

BULK, QUESTIONS, CONNECTIONS = 200_000_000, 2_000, 200
ROUNDS = 7


def serve(pem: str) -> None:
    """Answer "b" with a bulk, and anything else with itself. The port is printed; without a file there is no TLS."""
    context = None
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    piece = bytes(1 << 20)

    def answer(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            while data := sock.recv(100):
                if data == b"b":
                    for _ in range(BULK // len(piece)):
                        sock.sendall(piece)
                else:
                    sock.sendall(data)
        except OSError:
            pass
        sock.close()

    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()


def measure(port: str, authority: str) -> None:
    """Print the figures of one way as JSON."""
    context = ssl.create_default_context(cafile=authority) if authority else None

    def connect() -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if context is None else context.wrap_socket(sock, server_hostname="localhost")

    buffer = bytearray(1 << 20)
    with connect() as sock:
        began, left = time.perf_counter(), BULK // len(buffer) * len(buffer)
        sock.sendall(b"b")
        while left:
            left -= sock.recv_into(buffer)
        bulk = BULK / 1e6 / (time.perf_counter() - began)
        times = []
        for _ in range(QUESTIONS):
            began = time.perf_counter()
            sock.sendall(b"?")
            sock.recv(1)
            times.append(time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(CONNECTIONS):
        with connect() as sock:
            sock.sendall(b"?")
            sock.recv(1)
    connections = CONNECTIONS / (time.perf_counter() - began)
    print(json.dumps({"MB/s": bulk, "p50 us": statistics.median(times) * 1e6, "connections/s": connections}))


def once(port: int, authority: str) -> dict[str, float]:
    command = [sys.executable, __file__, "client", str(port), authority]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)  # type: ignore[no-any-return]


def main(rounds: int) -> None:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, NetFault(seed=1) as net:
        ca = trustme.CA()
        pem, authority = f"{folder}/server.pem", f"{folder}/ca.pem"
        ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
        ca.cert_pem.write_to_path(authority)
        servers = [
            subprocess.Popen([sys.executable, __file__, "serve", file], stdout=subprocess.PIPE, text=True)
            for file in ("", pem)
        ]
        try:
            plain, secure = (int(server.stdout.readline()) for server in servers if server.stdout)
            ways = {
                "plain, direct": (plain, ""),
                "plain link": (net.forward(plain).port, ""),
                "TLS, direct": (secure, authority),
                "TLS link": (net.forward(secure, tls=TLS(upstream_ca=authority)).port, net.ca.file),
            }
            figures: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
            memory = dict.fromkeys(ways, 0)
            for _ in range(rounds):
                for way, (port, trusted) in ways.items():
                    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                    figures[way].append(once(port, trusted))
                    memory[way] += resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        finally:
            for server in servers:
                server.kill()
                server.communicate()
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.platform()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {load:.1f}; the best of {rounds}"
    )
    print(f"{'':<14}{'MB/s':>10}{'p50, us':>10}{'connections/s':>16}{'memory grew by, KiB':>22}")
    best: dict[str, list[float]] = {}
    for way, rows in figures.items():
        best[way] = [
            max(row["MB/s"] for row in rows),
            min(row["p50 us"] for row in rows),
            max(row["connections/s"] for row in rows),
        ]
        bulk, question, connections = best[way]
        print(f"{way:<14}{bulk:>10,.0f}{question:>10,.0f}{connections:>16,.0f}{memory[way]:>22,}")
    ratios = [mine / plain for mine, plain in zip(best["TLS link"], best["plain link"], strict=True)]
    print(f"{'TLS / plain':<14}{ratios[0]:>10.2f}{ratios[1]:>10.2f}{ratios[2]:>16.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    elif sys.argv[1:2] == ["client"]:
        measure(*sys.argv[2:])
    else:
        assert Path(__file__).is_file()
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
