"""The rows of the gallery: which client, with which server, held to which promise, and what its documentation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """One client of one server.

    Attributes:
        name: of its store, ``stores/NAME.py``.
        title: what it is, in a table.
        client: the distribution, module or package that it is in.
        server: module and function that open the server, and the function that says its version.
        promise: what it is held to.
        quote: what its documentation says about it, short; empty where it says nothing.
        place: where that is written.
        instead: what to do where it loses, or what is to know where it does not.
        settle: seconds in which it must come back once the network does; more than it needs to notice by itself.
        notice: seconds in which it must notice by itself that a connection died silently.
        stride: every so many-th byte of the first connection is cut.
        alone: schedules are not played side by side.
        environment: what its process needs.
        apart: packages that do not go together with those of other rows; they are installed for this one alone.
        program: of a client in another language, its sources below ``docs/examples/languages``.
        manifest: of such a client, the file there that pins its version.
    """

    name: str
    title: str
    client: str
    server: tuple[str, str, str]
    promise: str
    quote: str
    place: str
    instead: str = ""
    settle: float = 5.0
    notice: float = 45.0
    stride: int = 25
    alone: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    program: str = ""
    manifest: str = ""


ROWS = (
    Row(
        name="redis_pubsub",
        title="redis-py, asyncio, pub/sub",
        client="redis",
        server=("redis", "open_server", "version"),
        stride=50,
        promise="comes-back",
        quote=(
            "In the event of a disconnection such as a network error or timeout, the PubSub object will re-"
            "subscribe to all prior channels and patterns when reconnecting. Messages that were published "
            "while the client was disconnected cannot be delivered."
        ),
        place="redis-py, docs/advanced_features.rst, Publish / Subscribe",
        instead=(
            "It does come back after every outage that ends its connection. What it does not notice is a "
            "connection that has gone silent for good: with `health_check_interval` the pub/sub object sends"
            " its PING, and nobody looks whether it is answered. Ask for an answer yourself: `await "
            "pubsub.ping()` every few seconds, and `await pubsub.connection.disconnect()` if no message of "
            "type `pong` came in time; or read a stream, as the next row does."
        ),
    ),
    Row(
        name="redis_streams",
        title="redis-py, asyncio, streams",
        client="redis",
        server=("redis", "open_stream", "version"),
        stride=125,
        promise="every-event",
        quote=(
            "Read data from one or multiple streams, only returning entries with an ID greater than the last"
            " received ID reported by the caller."
        ),
        place="Redis, the command XREAD",
        instead=(
            "The position belongs to the subscriber and is moved behind what was handed over, so that an "
            "outage costs nothing. The retries of redis-py are switched off for a reason: [a write that is "
            "sent again may be made twice](../how-to/other-stores.md#redis)."
        ),
    ),
    Row(
        name="psycopg_listen",
        title="psycopg, LISTEN",
        client="psycopg",
        server=("postgres", "open_server", "version"),
        stride=50,
        promise="comes-back",
        quote="",
        place=(
            "psycopg's pages on asynchronous notifications say how they are received, and nothing of "
            "connections that are lost."
        ),
        instead=(
            "It does come back after every outage that ends its connection. A connection that has gone "
            "silent for good is another matter: whatever stands in between may answer the keepalives of TCP,"
            " so only a question of your own finds out, such as `SELECT 1` on the listening connection every"
            " few seconds, with a time limit. And after each reconnect read the table again: what was "
            "notified meanwhile is gone."
        ),
    ),
    Row(
        name="asyncpg_listen",
        title="asyncpg, LISTEN",
        client="asyncpg",
        server=("postgres", "open_server", "version"),
        stride=50,
        promise="comes-back",
        quote="",
        place=(
            "asyncpg's `Connection.add_listener` says how notifications are received, and nothing of "
            "connections that are lost; `add_termination_listener` says that one is."
        ),
        instead=(
            "It does come back after every outage that ends its connection. A connection that has gone "
            "silent for good is not noticed, because nothing is asked on it: `await "
            "connection.fetchval('SELECT 1', timeout=2)` every few seconds on the listening connection, "
            "`connection.terminate()` if it fails, and after each reconnect read the table again: what was "
            "notified meanwhile is gone."
        ),
    ),
    Row(
        name="paho_clean",
        title="paho-mqtt, clean session",
        client="paho-mqtt",
        server=("mosquitto", "open_server", "version"),
        promise="comes-back",
        quote=(
            "loop_forever() will handle reconnecting for you if reconnect_on_failure is true (this is the "
            "default behavior)."
        ),
        place="paho-mqtt, docstring of Client.loop_forever, which loop_start runs in a thread",
    ),
    Row(
        name="paho_persistent",
        title="paho-mqtt, persistent session, QoS 1",
        client="paho-mqtt",
        server=("mosquitto", "open_server", "version"),
        promise="every-event",
        quote=(
            "If False, the client is a persistent client and subscription information and queued messages "
            "will be retained when the client disconnects."
        ),
        place="paho-mqtt, docstring of Client, clean_session",
    ),
    Row(
        name="nats_core",
        title="nats-py, core subscription",
        client="nats-py",
        server=("nats", "open_core", "version"),
        promise="comes-back",
        quote="Unlike with core NATS which provides an at most once delivery guarantee of a message ...",
        place="NATS documentation, nats-concepts/jetstream/consumers",
        instead=(
            "It came back in every schedule of the proof. If a reconnect ends right behind the word INFO "
            "with which the server greets, a `ValueError` ends the task that reconnects, and there is no "
            "other attempt, with `max_reconnect_attempts=-1` as well ([in 30 lines, without the "
            "kit](https://github.com/pytest-netfault/pytest-"
            "netfault/blob/main/docs/gallery/reduced/nats_reconnect.py)). No callback says so; "
            "`is_connecting` stays true. Watch it yourself: close a connection that is not `is_connected` "
            "for longer than you can bear, and make another. We found no report of it."
        ),
    ),
    Row(
        name="nats_ordered",
        title="nats-py, ordered consumer",
        client="nats-py",
        server=("nats", "open_stream", "version"),
        stride=100,
        settle=25.0,
        promise="every-event",
        quote="a consumer can provide an at least once delivery guarantee",
        place=(
            'NATS documentation, nats-concepts/jetstream/consumers; `ordered_consumer`: "Enable ordered '
            'consumer mode", nats-py, docstring of JetStreamContext.subscribe'
        ),
        instead=(
            "Nothing is lost; too much comes. `deliver_policy=NEW` is forgotten when the client makes its "
            "consumer again before the first message has arrived: it then begins at sequence 1, and old "
            "messages arrive as if they were new ([in 30 lines, without the kit](https://github.com/pytest-"
            "netfault/pytest-netfault/blob/main/docs/gallery/reduced/nats_ordered.py)). Remember where you "
            "began, `(await stream.stream_info(name)).state.last_seq`, and drop what is not later. We found "
            "no report of it. The reconnect that ends for good, of the row above, is this row's as well. "
            "After a restart of the server 20 s pass until it goes on: its consumer was in the server's memory, and "
            "it looks every 10 s whether it has heard anything in the last 10."
        ),
    ),
    Row(
        name="nats_kv",
        title="nats-py, key-value watch",
        client="nats-py",
        server=("nats", "open_bucket", "version"),
        stride=200,
        settle=25.0,
        promise="latest-per-key",
        quote="watch will fire a callback when a key that matches the keys pattern is updated.",
        place="nats-py, docstring of KeyValue.watch",
        instead=(
            "If a reconnect ends right behind the word INFO with which the server greets, a `ValueError` "
            "ends the task that reconnects, and there is no other attempt, with `max_reconnect_attempts=-1` "
            "as well ([in 30 lines, without the kit](https://github.com/pytest-netfault/pytest-"
            "netfault/blob/main/docs/gallery/reduced/nats_reconnect.py)). No callback says so; "
            "`is_connecting` stays true. Watch it yourself: close a connection that is not `is_connected` "
            "for longer than you can bear, and make another. We found no report of it."
        ),
    ),
    Row(
        name="aetcd_watch",
        title="aetcd, watch from a revision",
        client="aetcd",
        apart=("aetcd==1.0.0",),
        server=("etcd", "open_server", "version"),
        settle=25.0,
        promise="every-event",
        quote=(
            "A broken watch can be resumed by establishing a new watch starting after the last revision "
            "received in a watch event before the break, so long as the revision is in the history window."
        ),
        place="etcd, API guarantees of watches; aetcd itself says nothing of lost connections",
        instead=(
            "The watch resumes without a loss after every outage that ends its connection. A connection that"
            " has gone silent for good is not noticed, and neither is it with the keepalive options of gRPC "
            "(five seconds, tried for 40 s with 1.0.0a4). Write a key of your own below the prefix every few "
            "seconds, and open a new client when it does not arrive in time; the bundled wrapper has such a limit."
        ),
    ),
    Row(
        name="etcd3_watch",
        title="etcd3, watch from a revision",
        client="etcd3",
        server=("etcd", "open_debian", "version_of_debian"),
        settle=25.0,
        stride=100,
        promise="every-event",
        quote=(
            "A broken watch can be resumed by establishing a new watch starting after the last revision "
            "received in a watch event before the break, so long as the revision is in the history window."
        ),
        place="etcd, API guarantees of watches; etcd3 itself says nothing of lost connections",
        environment={"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        instead=(
            "The watch resumes without a loss after every outage that ends its connection. A connection that"
            " has gone silent for good is not noticed, and neither is it with the keepalive options of gRPC "
            "(five seconds, tried for 40 s). The bundled wrapper, which stands on this client, has a time "
            "limit on its watch; or write a key of your own below the prefix every few seconds, and begin "
            "again when it does not arrive in time. And after a reset in the first bytes of a connection it may take "
            "20 s to come back, in 3 of 40 plays of a schedule; `settle` is 25 here. A new client is no new "
            "connection: gRPC shares one among all channels of a process that go to the same address. With "
            '`grpc_options=[("grpc.use_local_subchannel_pool", 1)]` each client has its own, and 36 plays of the '
            "same schedule ended within five seconds."
        ),
    ),
    Row(
        name="etcetra_watch",
        title="etcetra, watch",
        client="etcetra",
        server=("etcd", "open_server", "version"),
        settle=25.0,
        promise="comes-back",
        quote="",
        place=(
            "etcetra's README says how a key is watched, and nothing of connections that are lost; its "
            "events carry no revision to resume at."
        ),
        instead=(
            "It comes back after outages that end its connection, but not always: after a reset in the first bytes of "
            "its connection, 8 of 48 plays of a schedule were not back after 70 s. We have not traced that to its end. "
            "gRPC, which is below it, may take 20 s for such a connection, so `settle` is 25 here. This page was wrong "
            "when it said that a call of grpc.aio never ends then: it ends after 20.0 s. And etcetra does not notice a "
            "connection that has gone silent for good. It gives no revision with an event, so that what was missed "
            "meanwhile cannot be asked for. Read the prefix again every so often, or take a client whose watches can "
            "be resumed."
        ),
    ),
    Row(
        name="aio_pika_robust",
        title="aio-pika, robust connection",
        client="aio-pika",
        server=("rabbitmq", "open_server", "version"),
        stride=50,
        promise="comes-back",
        quote=(
            "Transparent auto-reconnects with complete state recovery with `connect_robust` (e.g. declared "
            "queues or exchanges, consuming state and bindings)."
        ),
        place="aio-pika, README, Features",
    ),
    Row(
        name="kombu_mixin",
        title="kombu, ConsumerMixin",
        client="kombu",
        server=("rabbitmq", "open_server", "version"),
        stride=125,
        promise="comes-back",
        quote=(
            "maximum number of retries trying to re-establish the connection, if the connection is "
            "lost/unavailable"
        ),
        place="kombu, mixins.py, ConsumerMixin.connect_max_retries, without a limit by default",
        instead=(
            "The queue is durable and its messages are acknowledged behind the callback; a repeat is "
            "possible and allowed. It connects for each write, because a connection that is kept fails with "
            "the first write after an outage."
        ),
    ),
    Row(
        name="kazoo_watches",
        title="kazoo, ChildrenWatch and DataWatch",
        client="kazoo",
        server=("zookeeper", "open_server", "version"),
        stride=150,
        settle=10.0,
        promise="latest-per-key",
        quote=(
            "Watches a node for data updates and calls the specified function each time it changes [and] "
            "survives reconnections and session loss"
        ),
        place="kazoo, docstring of DataWatch",
        instead=(
            "If the connection ends right behind the answer to the question of a ChildrenWatch, and the thread "
            "that asked goes on after the listeners have heard of it, the watch counts as established, asks "
            "never again, and new nodes stay unseen for as long as the session lasts ([in 30 lines, without "
            "the kit](https://github.com/pytest-netfault/pytest-"
            "netfault/blob/main/docs/gallery/reduced/kazoo_children.py)). That such a race was at work in a "
            "schedule of an earlier sweep, which failed in 1 of 10 plays, is likely and not shown; later sweeps "
            "lost nothing. A watch is a hint: read the folder and its nodes again "
            "when a listener (`client.add_listener`) says CONNECTED, and every so often. We found no report "
            "of it."
        ),
    ),
    Row(
        name="mysql_replication",
        title="mysql-replication, binlog",
        client="mysql-replication",
        server=("mariadb", "open_server", "version"),
        stride=2000,
        promise="every-event",
        quote=(
            "resume_stream: Start for event from position or the latest event of binlog or from older "
            "available event"
        ),
        place="mysql-replication, docstring of BinLogStreamReader",
        instead=(
            "It goes on at the last position. Leave `is_mariadb=True` out where you give positions, on "
            "MariaDB too: it is meant for GTIDs (`auto_position`), and with it log_file, log_pos and "
            "resume_stream are not looked at, so that every connection begins at the start of the binlog."
        ),
    ),
    Row(
        name="clientv3_watch",
        title="etcd clientv3 (Go), watch from a revision",
        client="go.etcd.io/etcd/client/v3",
        server=("etcd", "open_server", "version"),
        settle=10.0,
        stride=25,
        promise="every-event",
        quote=(
            "as long as the context has not been canceled or timed out, watch will retry on other recoverable "
            "errors forever until reconnected."
        ),
        place="clientv3, comment of Watcher.Watch",
        program="go/etcd/main.go",
        manifest="go/go.mod",
    ),
    Row(
        name="natsgo_kv",
        title="nats.go, key-value watch",
        client="github.com/nats-io/nats.go",
        server=("nats", "open_config", "version"),
        settle=25.0,
        stride=50,
        promise="latest-per-key",
        quote=("By default, the watcher will send the latest value for each key and all future updates."),
        place="nats.go, jetstream, comment of KeyValue.Watch",
        instead=(
            "After a restart of the server the watch is blind for up to 20 s: its consumer was in the server's "
            "memory, nobody says that it is gone, and the client looks every 10 s whether it has heard anything in "
            "the last 10. Nothing is lost: ten plays of a schedule with `Restart()` ended 20.6 to 22.5 s after they "
            "began, with all of it delivered, and a proof of 100 examples without a limit of time found nothing lost "
            "(126.2 s). With `settle=15` another play of that schedule demanded the rest 19.8 s after it began, and "
            "was not met, which is no loss; `settle` is 25 here. The interval cannot be set for a watch; who needs it "
            "sooner may watch again in a `nats.ReconnectHandler` (not tried)."
        ),
        program="go/nats/main.go",
        manifest="go/go.mod",
    ),
    Row(
        name="ioredis_streams",
        title="ioredis (Node), streams",
        client="ioredis",
        server=("redis", "open_stream", "version"),
        stride=125,
        promise="every-event",
        quote="By default, ioredis will try to reconnect when the connection to Redis is lost",
        place="ioredis, README, Auto-reconnect; the position in the stream belongs to its reader",
        program="node/store.js",
        manifest="node/package-lock.json",
    ),
    Row(
        name="jetcd_watch",
        title="jetcd (Java), a watch that it resumes itself",
        client="jetcd-core",
        server=("etcd", "open_server", "version"),
        settle=10.0,
        stride=50,
        promise="every-event",
        quote=(
            "A broken watch can be resumed by establishing a new watch starting after the last revision "
            "received in a watch event before the break, so long as the revision is in the history window."
        ),
        place="etcd, API guarantees of watches; jetcd resumes its watches, and says nothing of what that keeps",
        instead=(
            "Two defects of the resuming show in scripts of their own; which of them proofs have met, in 1 of "
            "10 plays of a schedule, we have not traced. A watch that ends between the word that it is created and its "
            "first events goes on at the revision that this word carried, behind them ([in 30 lines, without the kit "
            "and without etcd]"
            "(https://github.com/pytest-netfault/pytest-netfault/blob/main/docs/gallery/reduced/"
            "JetcdResume.java)). And where the status of an error has no text, a `NullPointerException` ends "
            "the resuming for good. We found no report of the first; the second resembles jetcd's issue 867. "
            "Keep the revision yourself, close the watcher when its listener hears of an error, and watch again "
            "from there: the program below does so without `-Dresume=true`."
        ),
        program="java/Store.java",
        manifest="java/pom.xml",
    ),
    Row(
        name="centrifuge_recovery",
        title="centrifuge-python, recovery",
        client="centrifuge-python",
        server=("centrifugo", "open_server", "version"),
        promise="every-event",
        quote=(
            "Enabling this feature allows connections to automatically recover missed messages due to brief "
            "network disconnections"
        ),
        place="Centrifugo documentation, tutorial/recovery",
    ),
    Row(
        name="aiokafka_consumer",
        title="aiokafka, consumer of a partition",
        client="aiokafka",
        server=("kafka", "open_server", "version"),
        settle=10.0,
        stride=100,
        alone=True,
        promise="every-event",
        quote="The consumer will transparently handle the failure of servers in the Kafka cluster",
        place="aiokafka, docstring of AIOKafkaConsumer",
    ),
    Row(
        name="kubernetes_loop",
        title="kubernetes, a watch in a loop",
        client="kubernetes",
        server=("kubernetes", "open_server", "version"),
        stride=2000,
        promise="latest-per-key",
        quote=(
            'To establish initial state, the watch begins with synthetic "Added" events of all resources instances '
            "that exist at the starting resource version. All following watch events are for all changes that "
            "occurred after the resource version the watch started at."
        ),
        place="Kubernetes documentation, reference/using-api/api-concepts, Semantics for watch",
        instead=(
            "A watch without a resourceVersion begins with what is there. What was deleted between two of them is not "
            "there, and nobody says so; each watch keeps what is quoted, and the loop around it loses. Watch from a "
            "resourceVersion, as the next row does. A connection that has gone silent for good is not noticed either "
            "([known](https://github.com/kubernetes-client/python/issues/2462)): `_request_timeout=(2, 5)` ends a "
            "watch on which nothing came for five seconds, and the loop goes on."
        ),
    ),
    Row(
        name="kubernetes_watch",
        title="kubernetes, watch from a resourceVersion",
        client="kubernetes",
        server=("kubernetes", "open_server", "version"),
        settle=10.0,
        stride=2000,
        promise="latest-value",
        quote=(
            "In that case you have to recover yourself, probably by listing the API resource to obtain the latest "
            "state and then watching from that state on by setting ``resource_version`` to one returned from listing."
        ),
        place="kubernetes, docstring of Watch.stream",
        instead=(
            "It is the state that is promised, and so a list may skip what came before it. That happens more often "
            "than when etcd compacts: kube-apiserver keeps the history that a watch resumes from in memory, and "
            "answers 410 when it has been restarted since. Held to `every-event` this store is broken by a schedule "
            "with `Restart()`, in 3 of 3 plays. Who needs each change keeps it in an object of its own. Without "
            "`_request_timeout` a connection that has gone silent for good is not noticed "
            "([known](https://github.com/kubernetes-client/python/issues/2462)). A patch that changes nothing makes "
            "no event, so each write of this store has a word of its own."
        ),
    ),
)
