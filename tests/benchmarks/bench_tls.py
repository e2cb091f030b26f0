"""A TLS link beside a plain one, in one run: ``python tests/benchmarks/bench_tls.py [ROUNDS]``.

A bulk stream to the client, a small question and its answer, connections with one question each, what CPU of the
proxy's process each of them took, and by how much its memory has grown after all of that. Server and client are
processes of their own, in Python, and speak TLS by themselves on the TLS link; on the plain link they speak none. What
they reach without a link is shown too, since they encrypt and decrypt on the same cores. The rounds alternate, so that
a slow moment of the machine hits all of them; shown is the best round of each, because noise only ever takes away.
"""

from __future__ import annotations

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
PARTS = ("bulk", "questions", "connections")


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


def measure(port: str, authority: str, part: str) -> None:
    """Print one figure of one way: MB/s, microseconds or connections each second."""
    context = ssl.create_default_context(cafile=authority) if authority else None

    def connect() -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if context is None else context.wrap_socket(sock, server_hostname="localhost")

    if part == "connections":
        began = time.perf_counter()
        for _ in range(CONNECTIONS):
            with connect() as sock:
                sock.sendall(b"?")
                sock.recv(1)
        print(CONNECTIONS / (time.perf_counter() - began))
        return
    with connect() as sock:
        if part == "bulk":
            buffer = bytearray(1 << 20)
            began, left = time.perf_counter(), BULK // len(buffer) * len(buffer)
            sock.sendall(b"b")
            while left:
                left -= sock.recv_into(buffer)
            print(BULK / 1e6 / (time.perf_counter() - began))
            return
        times = []
        for _ in range(QUESTIONS):
            began = time.perf_counter()
            sock.sendall(b"?")
            sock.recv(1)
            times.append(time.perf_counter() - began)
        print(statistics.median(times) * 1e6)


def once(port: int, authority: str, part: str) -> float:
    command = [sys.executable, __file__, "client", str(port), authority, part]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def used() -> tuple[float, int]:
    """Seconds of CPU of this process, which is the proxy, and its largest memory in KiB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


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
            figures: dict[tuple[str, str], list[float]] = {(way, part): [] for way in ways for part in PARTS}
            cpu: dict[tuple[str, str], list[float]] = {(way, part): [] for way in ways for part in PARTS}
            memory = dict.fromkeys(ways, 0)
            for _ in range(rounds):
                for way, (port, trusted) in ways.items():
                    for part in PARTS:
                        before = used()
                        figures[way, part].append(once(port, trusted, part))
                        after = used()
                        cpu[way, part].append(after[0] - before[0])
                        memory[way] += after[1] - before[1]
        finally:
            for server in servers:
                server.kill()
                server.communicate()
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.platform()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {load:.1f}; the best of {rounds}"
    )
    print(
        f"{'':<14}{'MB/s':>8}{'CPU/GB, s':>12}{'p50, us':>10}{'CPU each, us':>14}{'connections/s':>15}"
        f"{'CPU each, ms':>14}{'memory, KiB':>13}"
    )
    rows: dict[str, list[float]] = {}
    for way in ways:
        best = [(min if part == "questions" else max)(figures[way, part]) for part in PARTS]
        least = [min(cpu[way, part]) for part in PARTS]
        rows[way] = [
            best[0], least[0] * 1e9 / BULK, best[1], least[1] * 1e6 / QUESTIONS, best[2], least[2] * 1e3 / CONNECTIONS
        ]  # fmt: skip
        bulk, of_bulk, question, of_question, connections, of_connection = rows[way]
        of_link = (
            (f"{of_bulk:.2f}", f"{of_question:.0f}", f"{of_connection:.2f}", f"{memory[way]:,}")
            if "link" in way
            else ("-",) * 4
        )
        print(
            f"{way:<14}{bulk:>8,.0f}{of_link[0]:>12}{question:>10,.0f}{of_link[1]:>14}{connections:>15,.0f}"
            f"{of_link[2]:>14}{of_link[3]:>13}"
        )
    ratios = [mine / plain for mine, plain in zip(rows["TLS link"], rows["plain link"], strict=True)]
    widths = (8, 12, 10, 14, 15, 14)
    print(
        f"{'TLS / plain':<14}"
        + "".join(f"{one:>{wide}.2f}" for one, wide in zip(ratios, widths, strict=True))
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    elif sys.argv[1:2] == ["client"]:
        measure(*sys.argv[2:])
    else:
        assert Path(__file__).is_file()
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
