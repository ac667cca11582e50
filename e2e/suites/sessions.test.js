// Sessions of the TypeScript client in a page, when servers die, and when they are not what the page takes them for.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { WebSocketServer } from "ws";
import { launch, open } from "../support/browser.js";
import { startSite } from "../support/client.js";
import { eventually } from "../support/eventually.js";
import { startConformance } from "../support/server.js";

/** A page with a session, whose options the test adds to, and a list of what became of its calls. */
const FILES = {
  "/": `<p id="status"></p><p id="outcome"></p><script type="module">
  import { connect, unchecked } from "@wirelark/client";
  import { object, string, uint32 } from "@wirelark/client/schema";
  const calls = Object.fromEntries(["echo", "slow", "emit"].map((name) => [name, { output: unchecked() }]));
  const pushes = { itemsChanged: {}, tick: { body: object({ n: uint32 }) } };
  const statuses = [];
  const reports = [];
  const outcomes = [];
  const ticks = [];
  const show = (id, text) => (document.getElementById(id).textContent = text);
  window.start = (contract = {}, options = {}) => {
    const rpc = { name: "Rpc", calls, pushes, ...contract };
    window.session = connect(rpc, {
      url: "/rpc",
      reconnect: { initial: 50, max: 1000 },
      ...options,
      onStatus: (status) => {
        // It is called at once, before there is a session.
        statuses.push({ status, ...window.session?.retry });
        show("status", status);
      },
      onReport: ({ kind, name, error }) => reports.push({ kind, name, text: String(error?.message ?? error) }),
      on: { tick: ({ n }) => ticks.push(n) },
    });
  };
  window.call = (name, input) => {
    const settle = (outcome) => {
      outcomes.push(outcome);
      show("outcome", outcome.name ? outcome.name + ": " + outcome.message : "answered");
    };
    window.session.call[name](input).then(
      (answer) => settle({ answer }),
      ({ name, message, sent, contract }) => settle({ name, message, sent, contract }),
    );
  };
  window.startWithWrongPush = () => start({ pushes: { ...pushes, tick: { body: object({ n: string }) } } });
  Object.assign(window, { statuses, reports, outcomes, ticks });
</script>`,
};

let browser;
let server;
let context;
/** What a test has to stop. */
let stops;

before(async () => {
  browser = await launch();
  server = await startConformance();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

beforeEach(async () => {
  context = await browser.newContext();
  stops = [];
});

afterEach(async () => {
  await context.close();
  for (const stop of stops.reverse()) await stop();
});

/** A page of a site in front of the server that listens there. */
async function pageBefore(host) {
  const site = await startSite({ host }, FILES);
  stops.push(() => site.stop());
  const page = await open(context);
  await page.goto(site.origin);
  await page.waitForFunction(() => window.start !== undefined);
  return page;
}

const start = (page, contract, options) => page.evaluate(([contract, options]) => window.start(contract, options), [contract, options]);
const call = (page, name, input) => page.evaluate(([name, input]) => window.call(name, input), [name, input]);
const kept = (page, name) => page.evaluate((name) => window[name], name);
const status = (page, text) => page.locator("#status").getByText(text, { exact: true }).waitFor();

/** Waits until so many calls have settled, and returns how. */
async function settled(page, count) {
  return eventually(async () => {
    const outcomes = await kept(page, "outcomes");
    assert.equal(outcomes.length, count);
    return outcomes;
  });
}

async function listening(http) {
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  stops.push(async () => {
    http.closeAllConnections();
    http.close();
  });
  return `127.0.0.1:${http.address().port}`;
}

test("a server that is killed: every pending call settles, and the session comes back with patience", async () => {
  const page = await pageBefore(server.host);
  await start(page, {}, { offline: "fail", reconnect: { initial: 100, max: 1000, jitter: 0 } });
  await status(page, "open");
  for (let n = 0; n < 20; n += 1) await call(page, "slow", { ms: 60_000, tag: `${n}` });
  await call(page, "echo", { text: "they are there" });
  await settled(page, 1);
  await server.kill();
  await status(page, "reconnecting");
  const lost = (await settled(page, 21)).slice(1);
  for (const { name, sent } of lost) assert.deepEqual({ name, sent }, { name: "DisconnectedError", sent: true });
  await call(page, "echo", { text: "nobody listens" });
  const { name, sent } = (await settled(page, 22)).at(-1);
  assert.deepEqual({ name, sent }, { name: "DisconnectedError", sent: false });

  const waits = async () => (await kept(page, "statuses")).filter(({ status }) => status === "reconnecting");
  await eventually(async () => assert.ok((await waits()).length >= 5));
  const delays = (await waits()).slice(0, 5).map(({ attempt, delay }) => [attempt, delay]);
  assert.deepEqual(delays, [[1, 100], [2, 200], [3, 400], [4, 800], [5, 1000]]);

  server = await startConformance({ port: server.port });
  await status(page, "open");
  await call(page, "echo", { text: "back" });
  assert.deepEqual((await settled(page, 23)).at(-1), { answer: { text: "back" } });
  assert.deepEqual(page.failures, []);
});

test("another version of the contract is refused by name, and not tried again", async () => {
  const page = await pageBefore(server.host);
  await start(page, { hash: "0123456789abcdef" });
  await call(page, "echo", { text: "hello" });
  await page.getByText(/^OtherVersionError: .* contract Rpc: .*0123456789abcdef/).waitFor();
  const [{ contract }] = await settled(page, 1);
  assert.equal(contract, "Rpc");
  await status(page, "closed");
  // It is told by a close code, which only an open connection can have.
  assert.deepEqual((await kept(page, "statuses")).map(({ status }) => status), ["idle", "connecting", "open", "closed"]);
  assert.deepEqual(page.failures, []);
});

test("a push that is not what the contract says is reported, and the page lives", async () => {
  const page = await pageBefore(server.host);
  await page.evaluate(() => window.startWithWrongPush());
  await status(page, "open");
  await call(page, "emit", { ticks: 2 });
  await call(page, "echo", { text: "still here" });
  const outcomes = await settled(page, 2);
  assert.deepEqual(outcomes.at(-1), { answer: { text: "still here" } });
  const reports = await kept(page, "reports");
  assert.deepEqual(reports.map(({ kind, name }) => [kind, name]), [["invalidPush", "tick"], ["invalidPush", "tick"]]);
  assert.deepEqual(await kept(page, "ticks"), []);
  assert.deepEqual(page.failures, []);
});

test("a push that is what it says is heard", async () => {
  const page = await pageBefore(server.host);
  await start(page);
  await call(page, "emit", { ticks: 2 });
  await eventually(async () => assert.deepEqual(await kept(page, "ticks"), [1, 2]));
  assert.deepEqual(await kept(page, "reports"), []);
});

test("a web server without WebSockets is no server: calls fail by name, and the session keeps trying", async () => {
  const page = await pageBefore(await listening(createServer((_, response) => response.writeHead(404).end("not here"))));
  await start(page, {}, { offline: "fail" });
  await call(page, "echo", { text: "hello" });
  const [{ name, sent }] = await settled(page, 1);
  assert.deepEqual({ name, sent }, { name: "DisconnectedError", sent: false });
  await eventually(async () => assert.ok((await kept(page, "statuses")).some(({ attempt }) => attempt >= 2)));
  await status(page, "reconnecting");
  assert.deepEqual(page.failures, []);
});

test("a WebSocket server that does not speak our protocol is no server either", async () => {
  // One that agrees to nothing, which browsers refuse themselves, and one that agrees to what it does not speak.
  const servers = [
    { handleProtocols: () => false, state: "reconnecting", reported: [] },
    { handleProtocols: (offered) => [...offered][0], state: "open", reported: ["malformed"] },
  ];
  for (const { handleProtocols, state, reported } of servers) {
    const http = createServer();
    const echo = new WebSocketServer({ server: http, handleProtocols });
    echo.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
    const page = await pageBefore(await listening(http));
    await start(page, {}, { callTimeout: 500 });
    await call(page, "echo", { text: "hello" });
    const [{ name }] = await settled(page, 1);
    assert.equal(name, "TimeoutError");
    await status(page, state);
    assert.deepEqual((await kept(page, "reports")).map(({ kind }) => kind), reported);
    assert.deepEqual(page.failures, []);
  }
});
