// What a test of Node does with toxiproxy-node-client; arguments: the server's URL, and the upstream's address.
const assert = require("node:assert");
const net = require("node:net");
const { Toxiproxy } = require("toxiproxy-node-client");

const [url, upstream] = process.argv.slice(2);

function connected(listen) {
  const [host, port] = listen.split(":");
  return new Promise((done) => {
    const socket = net.connect(Number(port), host);
    socket.on("connect", () => { socket.destroy(); done(true); });
    socket.on("error", () => done(false));
  });
}

async function main() {
  const toxiproxy = new Toxiproxy(url);
  assert.strictEqual(await toxiproxy.getVersion(), '{"version": "2.12.0"}\n');
  const proxy = await toxiproxy.createProxy({ name: "one", listen: "localhost:0", upstream });
  assert.match(proxy.listen, /^127\.0\.0\.1:[1-9]\d+$/);
  assert.ok(await connected(proxy.listen));
  assert.deepStrictEqual(Object.keys(await toxiproxy.getAll()), ["one"]);
  await assert.rejects(toxiproxy.createProxy({ name: "one", listen: "localhost:0", upstream }), /status code 409/);
  const down = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
  assert.strictEqual(down.enabled, false);
  assert.ok(!(await connected(proxy.listen)));
  const up = await proxy.update({ enabled: true, listen: proxy.listen, upstream });
  assert.strictEqual(up.listen, proxy.listen);

  for (const [type, attributes] of [
    ["latency", { latency: 1000, jitter: 100 }],
    ["bandwidth", { rate: 1000 }],
    ["slow_close", { delay: 1000 }],
    ["timeout", { timeout: 1000 }],
    ["reset_peer", { timeout: 1000 }],
    ["slicer", { average_size: 1000, size_variation: 1000, delay: 1000 }],
    ["limit_data", { bytes: 1000 }],
  ]) {
    const toxic = await proxy.addToxic({ type, attributes });
    assert.deepStrictEqual(toxic.toJson(), {
      attributes, name: `${type}_downstream`, stream: "downstream", toxicity: 1, type,
    });
    const changed = await toxic.update({ toxicity: 0.5 });
    assert.strictEqual(changed.toxicity, 0.5);
    assert.deepStrictEqual((await proxy.getToxic(toxic.name)).attributes, attributes);
    await toxic.remove();
    await assert.rejects(proxy.getToxic(toxic.name), /status code 404/);
  }
  await proxy.addToxic({ type: "latency", attributes: { latency: 1 } });
  await toxiproxy.reset();
  await assert.rejects(proxy.getToxic("latency_downstream"), /status code 404/);
  const many = await toxiproxy.populate([{ name: "two", listen: "localhost:0", upstream }]);
  assert.deepStrictEqual(Object.keys(many), ["two"]);
  await proxy.remove();
  assert.deepStrictEqual(Object.keys(await toxiproxy.getAll()), ["two"]);
  console.log("all as it should be");
}

main();
