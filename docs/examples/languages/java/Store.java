// A service's configuration in etcd, with jetcd. With -Dresume=true it leaves it to jetcd to resume its watch.
import com.google.gson.*;
import io.etcd.jetcd.*;
import io.etcd.jetcd.options.*;
import io.etcd.jetcd.watch.WatchEvent;
import java.util.*;
import java.util.concurrent.*;
import static java.nio.charset.StandardCharsets.UTF_8;
class Store {
    static final Gson JSON = new GsonBuilder().serializeNulls().create();
    static Client etcd;
    static volatile long next; // the revision to watch from
    public static void main(String[] arguments) {
        for (var lines = new Scanner(System.in, UTF_8); lines.hasNextLine(); ) {
            var asked = JsonParser.parseString(lines.nextLine()).getAsJsonObject();
            new Thread(() -> answer(asked.get("do").getAsString(), asked)).start();
        }
    }
    static void answer(String what, JsonObject asked) {
        try {
            switch (what) {
                case "open" -> etcd = Client.builder().endpoints("http://" + asked.get("address").getAsString()).build();
                case "put" -> etcd.getKVClient().put(bytes(asked, "key"), bytes(asked, "value")).get(1, TimeUnit.SECONDS);
                case "delete" -> etcd.getKVClient().delete(bytes(asked, "key")).get(1, TimeUnit.SECONDS);
                case "subscribe" -> read(bytes(asked, "prefix"));
            }
            say(Map.of("id", asked.get("id"), "ok", true));
            if (what.equals("close")) Runtime.getRuntime().halt(0); // all that the client has opened ends with it
            if (what.equals("subscribe")) follow(bytes(asked, "prefix"));
        } catch (Exception error) {
            say(Map.of("id", asked.get("id"), "unknown", error.toString()));
        }
    }
    static void read(ByteSequence prefix) throws Exception {
        var state = etcd.getKVClient().get(prefix, GetOption.builder().isPrefix(true).build()).get();
        var kvs = new JsonObject();
        state.getKvs().forEach(kv -> kvs.addProperty("" + kv.getKey(), "" + kv.getValue()));
        say(Map.of("deliver", Map.of("resync", Map.of("revision", state.getHeader().getRevision(), "kvs", kvs))));
        next = state.getHeader().getRevision() + 1;
    }
    static void follow(ByteSequence prefix) throws Exception {
        for (; ; Thread.sleep(200)) {
            var ended = new CompletableFuture<String>();
            var from = WatchOption.builder().isPrefix(true).withRevision(next).build();
            var watcher = etcd.getWatchClient().watch(prefix, from, Watch.listener(
                changes -> changes.getEvents().forEach(Store::deliver),
                error -> { if (!Boolean.getBoolean("resume") || ("" + error).contains("compacted")) ended.complete("" + error); }));
            if (ended.get().contains("compacted")) read(prefix); // what was missed is gone
            watcher.close();
        }
    }
    static void deliver(WatchEvent change) {
        var kv = change.getKeyValue();
        var value = change.getEventType() == WatchEvent.EventType.PUT ? "" + kv.getValue() : JsonNull.INSTANCE;
        say(Map.of("deliver", Map.of("events", List.of(Map.of("key", "" + kv.getKey(), "value", value, "revision", kv.getModRevision())))));
        next = kv.getModRevision() + 1;
    }
    static synchronized void say(Map<String, ?> line) { System.out.println(JSON.toJson(line)); }
    static ByteSequence bytes(JsonObject asked, String name) { return ByteSequence.from(asked.get(name).getAsString(), UTF_8); }
}
