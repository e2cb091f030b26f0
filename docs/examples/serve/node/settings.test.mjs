import assert from "node:assert";
import http from "node:http";
import { after, before, test } from "node:test";
import { get, getCarelessly } from "./settings.mjs";

const value = "200 requests in a second, and not one more";
const url = process.env.NETFAULT_URL; // of `netfault serve`, as http://127.0.0.1:8474
const step = Number(process.env.NETFAULT_STEP ?? 1); // 1: every byte
let address, service;

async function ask(method, path, body) {
  const response = await fetch(url + path, { method, body: body && JSON.stringify(body) });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${text}`);
  return text ? JSON.parse(text) : undefined;
}

before(async () => {
  service = http.createServer((_request, response) => {
    response.setHeader("Content-Length", Buffer.byteLength(value)).end(value);
  });
  await new Promise((listening) => service.listen(0, "127.0.0.1", listening));
  const upstream = `127.0.0.1:${service.address().port}`;
  address = (await ask("POST", "/proxies", { name: "node", listen: "127.0.0.1:0", upstream })).listen;
});

after(async () => {
  await ask("DELETE", "/proxies/node");
  service.close();
});

/** Cut the next connection after each byte of an answer in turn. */
async function* sweep(client) {
  const before = (await ask("GET", "/netfault/proxies/node/bytes")).down_sent;
  await client(address); // undisturbed: how long is an answer?
  const size = (await ask("GET", "/netfault/proxies/node/bytes")).down_sent - before;
  for (let cut = 0; cut <= size; cut += step) {
    const connection = (await ask("GET", "/netfault/proxies/node")).accepted + 1;
    const how = ["fin", "rst"][cut % 2];
    await ask("POST", "/netfault/proxies/node/faults", {
      fault: "cut", after_bytes: cut, direction: "down", connection, how,
    });
    yield [cut, await client(address).catch((error) => error)];
    await ask("DELETE", "/netfault/proxies/node/faults");
  }
}

test("the value is whole wherever the connection is cut", async () => {
  for await (const [cut, got] of sweep(get)) assert.strictEqual(got, value, `cut after ${cut} bytes: ${got}`);
});

test("the careless client is caught", async () => {
  let wrong = 0;
  for await (const [, got] of sweep(getCarelessly)) wrong += typeof got === "string" && got !== value;
  assert.ok(wrong > 0, "it took every value for whole, and none was cut");
});

test("silence ends at the timeout", async () => {
  await ask("POST", "/proxies/node/toxics", { type: "timeout", name: "silence", attributes: { timeout: 0 } });
  await assert.rejects(get(address));
  await ask("DELETE", "/proxies/node/toxics/silence");
  assert.strictEqual(await get(address), value);
});
