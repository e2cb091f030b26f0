// A service's configuration in a stream of Redis, with ioredis. With --defaults it keeps the client's own retries.
const readline = require("node:readline");
const Redis = require("ioredis");

const RETRY = 50, BLOCK = 200, PATIENCE = 1000; // milliseconds
const lines = readline.createInterface({ input: process.stdin });
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
let writer, reader;

function connect(address) {
  const [host, port] = address.split(":");
  const options = { host, port, connectTimeout: PATIENCE, retryStrategy: () => RETRY };
  // No answer for so long: the connection is dead. What was asked is not asked again: nobody knows what became of it.
  const careful = { socketTimeout: PATIENCE, maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false };
  const redis = new Redis(process.argv.includes("--defaults") ? options : { ...options, ...careful });
  return redis.on("error", () => {}); // it connects again by itself
}

async function write(key, ...value) {
  await writer.xadd("changes", "0-*", "key", key, ...value);
}

async function follow(prefix, started) {
  let after;
  while (reader.status !== "end") {
    try {
      if (after === undefined) {
        const [newest] = await reader.xrevrange("changes", "+", "-", "COUNT", 1);
        after = newest ? newest[0] : "0-0";
        started();
      }
      const [[, entries]] = (await reader.xread("BLOCK", BLOCK, "STREAMS", "changes", after)) ?? [["", []]];
      for (const [id, [, key, , value = null]] of entries) {
        const event = { key, value, revision: Number(id.split("-")[1]) };
        if (key.startsWith(prefix)) say({ deliver: { events: [event] } });
        after = id;
      }
    } catch {
      await new Promise((resume) => setTimeout(resume, RETRY));
    }
  }
}

lines.on("line", async (line) => {
  const { id, do: what, address, key, value, prefix } = JSON.parse(line);
  const ok = () => say({ id, ok: true });
  try {
    if (what === "open") [writer, reader] = [connect(address), connect(address)];
    if (what === "put") await write(key, "value", value);
    if (what === "delete") await write(key);
    if (what === "subscribe") return void follow(prefix, ok);
    ok();
    if (what === "close") process.exit(); // and everything ends that the clients have opened
  } catch (error) {
    say({ id, unknown: String(error) });
  }
});
