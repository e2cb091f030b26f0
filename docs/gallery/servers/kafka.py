"""Kafka, one broker in KRaft mode, of the jars that are published; the truth is its topic, read on a listener apart.

A broker tells its clients one address, which is fixed when it starts, and the proof makes a link for each play. So
what it tells is a port of ours, behind which `enter` puts the link that is played: one play at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from docs.gallery.servers.built import build, run
from docs.gallery.servers.common import Revision, program, revision
from pytest_netfault import NetFault
from pytest_netfault.servers import OwnedServer, ReservedPort

VERSION = "4.3.1"
TOPIC = "changes"
_PARTITION = TopicPartition(TOPIC, 0)
_JVM = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
_JARS = [("org.apache.kafka", name, VERSION) for name in ("kafka_2.13", "kafka-tools")]
_POM = (
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    "<groupId>gallery</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>"
    f"<dependencies>{''.join(_DEPENDENCY.format(*jar) for jar in _JARS)}</dependencies></project>"
)


def _java() -> list[str]:
    def make(folder: Path) -> None:
        (folder / "pom.xml").write_text(_POM)
        run(folder, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars")

    return [program("java", "any JRE 17"), *_JVM, "-cp", f"{build('kafka', _POM, make, 'mvn')}/jars/*"]


class Kafka(OwnedServer):
    """One broker with three listeners: for clients over a link, for the truth, and for itself."""

    def __init__(self, entry: int, direct: int, controller: int) -> None:
        self.direct = f"127.0.0.1:{direct}"
        java = _java()

        def command(port: int, folder: Path) -> list[str]:
            listens = [f"CLIENT://127.0.0.1:{port}", f"DIRECT://{self.direct}"]
            options = {
                "process.roles": "broker,controller",
                "node.id": 1,
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listeners": ",".join([*listens, f"CONTROLLER://127.0.0.1:{controller}"]),
                "advertised.listeners": f"CLIENT://127.0.0.1:{entry},DIRECT://{self.direct}",
                "listener.security.protocol.map": "CLIENT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "inter.broker.listener.name": "DIRECT",
                "controller.listener.names": "CONTROLLER",
                "log.dirs": folder / "data",
                "offsets.topic.replication.factor": 1,
            }
            file = folder / "server.properties"
            file.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
            made = ["kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", str(file)]
            run(folder, *java, *made)
            return [*java, "kafka.Kafka", str(file)]

        super().__init__(command, ready=lambda _: asyncio.run(self._make_topic()), name="kafka")

    async def _make_topic(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.direct, request_timeout_ms=5_000)
        try:
            await admin.start()  # raises what is no OSError while it does not serve
            if TOPIC not in await admin.list_topics():
                await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        finally:
            await admin.close()

    async def _read(self, first: int) -> tuple[int, list[Revision]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.direct, auto_offset_reset="none")
        await consumer.start()
        try:
            consumer.assign([_PARTITION])
            end, found = (await consumer.end_offsets([_PARTITION]))[_PARTITION], []
            consumer.seek(_PARTITION, first)
            while first < end:
                one = await consumer.getone()
                value = None if one.value is None else one.value.decode()
                found.append(revision(one.offset + 1, one.key.decode(), value))
                first = one.offset + 1
            return end, found
        finally:
            await consumer.stop()

    def revision(self) -> int:
        return asyncio.run(self._read(2**62))[0]

    def log(self, after_revision: int) -> list[Revision]:
        return asyncio.run(self._read(after_revision))[1]


_running: list[tuple[int, Kafka]] = []


@contextlib.contextmanager
def enter(address: str) -> Iterator[str]:
    """Where a client connects that is to go over the link at an address, or directly if that is the broker's own."""
    entry, broker = _running[-1]
    if address == broker.address:
        yield broker.direct
        return
    with NetFault() as net:
        net.forward(address, listen=("127.0.0.1", entry))
        yield f"127.0.0.1:{entry}"


@contextlib.contextmanager
def open_server() -> Iterator[Kafka]:
    with contextlib.ExitStack() as stack:
        entry, direct, controller = (stack.enter_context(ReservedPort()).number for _ in range(3))
        server = stack.enter_context(Kafka(entry, direct, controller))
        _running.append((entry, server))
        stack.callback(_running.pop)
        yield server


def version() -> str:
    _java()
    return f"Kafka {VERSION}"
