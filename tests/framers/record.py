"""Records the traffic of real clients with real servers, for the tests of the framers.

    python tests/framers/record.py redis postgres nginx rabbitmq mosquitto nats zookeeper etcd

Each name needs its server on this machine (Debian's packages, or `etcd`) and its client in this Python: redis,
psycopg, httpx[http2], pika, paho-mqtt, nats-py, kazoo, grpcio with etcd3. The recordings are kept beside this file, so
that no test needs any of them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "recordings"


class Recorder:
    """A proxy that keeps what passes, for each connection in the order in which it did."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections: list[list[tuple[str, bytes]]] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._upstream))
            kept: list[tuple[str, bytes]] = []
            self.connections.append(kept)
            for way, source, sink in (("up", client, server), ("down", server, client)):
                thread = threading.Thread(target=self._pass, args=(kept, way, source, sink), daemon=True)
                thread.start()
                self._threads.append(thread)

    @staticmethod
    def _pass(kept: list[tuple[str, bytes]], way: str, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                kept.append((way, data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def save(self, name: str, protocol: str) -> None:
        """Write the connections, neighbouring pieces of one direction joined."""
        self._listener.close()
        for thread in self._threads[1:]:
            thread.join(2)
        connections = []
        for kept in self.connections:
            joined: list[list[Any]] = []
            for way, data in kept:
                if joined and joined[-1][0] == way:
                    joined[-1][1] += data
                else:
                    joined.append([way, data])
            connections.append(
                [[way, base64.b64encode(zlib.compress(data, 9)).decode()] for way, data in joined]
            )
        text = json.dumps({"protocol": protocol, "connections": connections}, indent=0)
        (HERE / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
        sys.stdout.write(f"{name}: {len(connections)} connections, {len(text)} characters\n")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def server(command: list[str], port: int, **arguments: Any) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **arguments)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def redis(folder: Path) -> None:
    import redis as client

    port = free_port()
    with server(["redis-server", "--port", str(port), "--save", "", "--dir", str(folder)], port):
        for version in (2, 3):
            recorder = Recorder(port)
            with client.Redis(port=recorder.port, protocol=version) as one:
                one.set("a", "1")
                one.hset("h", mapping={"x": "1", "y": "2"})
                one.hgetall("h")
                one.get("absent")
                one.set("long", b"\r\n$*" * 3_000)
                one.get("long")
                with one.pipeline() as pipe:
                    pipe.incr("n").incr("n").execute()
                try:
                    one.incr("h")
                except client.ResponseError:
                    pass
                listening = one.pubsub()
                listening.subscribe("news")
                listening.get_message(timeout=1)
                one.publish("news", "first")
                one.publish("news", "second")
                listening.get_message(timeout=1)
                listening.get_message(timeout=1)
                listening.close()
            recorder.save(f"resp{version}", "resp")


def postgres(folder: Path) -> None:
    import psycopg

    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    folder.chmod(0o777)
    folder.parent.chmod(0o755)
    data, port = folder / "data", free_port()
    subprocess.run(
        [*user, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    command = [
        *user, str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1",
    ]  # fmt: skip
    with server(command, port, cwd=folder):
        time.sleep(1)
        recorder = Recorder(port)
        with psycopg.connect(host="127.0.0.1", port=recorder.port, user="postgres", autocommit=True) as one:
            one.execute("CREATE TABLE t (k text PRIMARY KEY, v text)")
            one.execute("INSERT INTO t VALUES (%s, %s)", ("a", "1"))
            one.execute("SELECT * FROM t WHERE k = %s", ("a",)).fetchall()
            with one.cursor().copy("COPY t FROM STDIN") as copy:
                copy.write_row(("b", "2"))
            with one.cursor().copy("COPY t TO STDOUT") as copy:
                list(copy.rows())
            one.execute("LISTEN news")
            one.execute("NOTIFY news, 'hello'")
            try:
                one.execute("SELECT nonsense")
            except psycopg.Error:
                pass
        recorder.save("postgres", "postgres")


def nginx(folder: Path) -> None:
    import httpx

    port = free_port()
    (folder / "page").write_text("hello\n" * 1_000)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; user root;\n"
        f"events {{}} http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; location = /no {{ return 204; }} }} }}"
    )
    with server(["nginx", "-c", str(folder / "nginx.conf")], port):
        recorder = Recorder(port)
        with httpx.Client(base_url=f"http://127.0.0.1:{recorder.port}") as one:
            one.get("/page")  # chunked, because it is compressed on the way
            one.get("/page", headers={"Accept-Encoding": "identity"})
            one.head("/page", headers={"Accept-Encoding": "identity"})
            one.get("/absent")
            one.get("/no")
            one.post("/page", content=b"x" * 100)
            one.post("/page", content=iter([b"one", b"two"]))
        recorder.save("http1", "http1")


def nginx2(folder: Path) -> None:
    import httpx

    port = free_port()
    (folder / "page").write_text("hello\n" * 10_000)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; user root;\n"
        f"events {{}} http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port} http2; root {folder}; }} }}"
    )
    with server(["nginx", "-c", str(folder / "nginx.conf")], port):
        recorder = Recorder(port)
        with httpx.Client(base_url=f"http://127.0.0.1:{recorder.port}", http1=False, http2=True) as one:
            one.get("/page")
            one.get("/absent")
        recorder.save("http2", "http2")


def rabbitmq(folder: Path) -> None:
    import pika

    port = free_port()
    environment = {
        **os.environ,
        "RABBITMQ_NODENAME": f"recorder{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "HOME": str(folder),
    }
    (folder / "plugins").write_text("[rabbitmq_amqp1_0].")
    binary = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    with server([binary if Path(binary).exists() else "rabbitmq-server"], port, env=environment):
        time.sleep(3)
        recorder = Recorder(port)
        one = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", recorder.port))
        channel = one.channel()
        channel.confirm_delivery()
        channel.queue_declare("q")
        channel.basic_publish("", "q", b"first")
        channel.basic_publish("", "q", b"x" * 200_000)
        channel.basic_publish("", "q", b"")
        for method, _, _ in channel.consume("q", inactivity_timeout=5):
            channel.basic_ack(method.delivery_tag)
            if method.delivery_tag == 3:
                break
        one.close()
        recorder.save("amqp", "amqp")
        try:
            from proton import Message
            from proton.utils import BlockingConnection
        except ImportError:
            return
        recorder = Recorder(port)
        two = BlockingConnection(f"amqp://guest:guest@127.0.0.1:{recorder.port}", allowed_mechs="PLAIN")
        sender, receiver = two.create_sender("/queue/p"), two.create_receiver("/queue/p")
        sender.send(Message(body="hello"))
        receiver.receive(5)
        receiver.accept()
        two.close()
        recorder.save("amqp1", "amqp")


def mosquitto(folder: Path) -> None:
    from paho.mqtt import client, enums

    port = free_port()
    (folder / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with server(["mosquitto", "-c", str(folder / "conf")], port):
        recorder = Recorder(port)
        arrived = threading.Semaphore(0)
        for version in (client.MQTTv311, client.MQTTv5):
            one = client.Client(enums.CallbackAPIVersion.VERSION2, protocol=version)
            one.on_message = lambda *_: arrived.release()
            one.on_subscribe = lambda *_: arrived.release()
            one.connect("127.0.0.1", recorder.port)
            one.loop_start()
            one.subscribe("t/#", qos=2)
            arrived.acquire(timeout=5)
            for qos in (0, 1, 2):
                one.publish("t/a", b"x" * 200 ** (qos > 0), qos=qos).wait_for_publish(5)
                arrived.acquire(timeout=5)
            one.unsubscribe("t/#")
            time.sleep(0.5)
            one.disconnect()
            one.loop_stop()
        recorder.save("mqtt", "mqtt")


def nats(_folder: Path) -> None:
    import asyncio

    import nats as client

    async def work(port: int) -> None:
        one = await client.connect(f"nats://127.0.0.1:{port}")
        got = await one.subscribe("a.>")
        await one.publish("a.b", b"first")
        await one.publish("a.c", b"\r\n" * 300, headers={"x": "y"})
        await one.publish("a.d", b"")
        for _ in range(3):
            await got.next_msg(timeout=5)
        await one.flush()
        await got.unsubscribe()
        await one.drain()

    port = free_port()
    with server(["nats-server", "-a", "127.0.0.1", "-p", str(port)], port):
        recorder = Recorder(port)
        asyncio.run(work(recorder.port))
        recorder.save("nats", "nats")


def zookeeper(folder: Path) -> None:
    from kazoo.client import KazooClient

    port = free_port()
    (folder / "zoo.cfg").write_text(
        f"tickTime=2000\ndataDir={folder}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    command = ["java", "-cp", "/usr/share/java/*", main, str(folder / "zoo.cfg")]
    with server(command, port):
        recorder = Recorder(port)
        time.sleep(3)  # it listens before it serves
        one = KazooClient(hosts=f"127.0.0.1:{recorder.port}")
        one.start(30)
        seen = threading.Event()
        one.create("/a", b"1")
        one.get("/a", watch=lambda _event: seen.set())
        one.set("/a", b"2")
        seen.wait(5)
        one.get_children("/")
        one.exists("/absent")
        with one.transaction() as transaction:
            transaction.create("/b", b"")
            transaction.delete("/a")
        one.stop()
        one.close()
        recorder.save("zookeeper", "zookeeper")


def etcd(folder: Path) -> None:
    import etcd3

    port, peers = free_port(), free_port()
    command = [
        os.environ.get("ETCD", "etcd"), "--data-dir", str(folder / "data"),
        "--listen-client-urls", f"http://127.0.0.1:{port}", "--advertise-client-urls", f"http://127.0.0.1:{port}",
        "--listen-peer-urls", f"http://127.0.0.1:{peers}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peers}",
        "--initial-cluster", f"default=http://127.0.0.1:{peers}",
    ]  # fmt: skip
    with server(command, port):
        time.sleep(1)
        recorder = Recorder(port)
        one = etcd3.client("127.0.0.1", recorder.port)
        events, cancel = one.watch_prefix("a.")
        one.put("a.x", "1")
        next(events)
        one.put("a.y", "y" * 50_000)  # more than one HTTP/2 frame
        next(events)
        one.get("a.x")
        one.delete("a.x")
        next(events)
        cancel()
        one.close()
        recorder.save("etcd-python", "http2")
        etcdctl = shutil.which(os.environ.get("ETCDCTL", "etcdctl"))
        if etcdctl is None:
            return
        recorder = Recorder(port)  # Go's client: other HPACK, Huffman codes
        place = ["--endpoints", f"127.0.0.1:{recorder.port}"]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        watching = subprocess.Popen(
            [etcdctl, *place, "watch", "a.y"], env=environment, stdout=subprocess.DEVNULL
        )
        time.sleep(1)
        for value in "12":
            subprocess.run([etcdctl, *place, "put", "a.y", value], env=environment, check=True)
        time.sleep(0.5)
        watching.terminate()
        watching.wait()
        recorder.save("etcd-go", "http2")


def main(names: list[str]) -> None:
    for name in names:
        record: Callable[[Path], None] = globals()[name]
        with tempfile.TemporaryDirectory(prefix="record-") as folder:
            place = Path(folder) / "run"
            place.mkdir()
            record(place)


if __name__ == "__main__":
    main(sys.argv[1:])
