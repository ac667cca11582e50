// Pages of other sites try to connect: the attack is a browser's, so a browser makes it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, open } from "../support/browser.js";
import { startChat, startConformance } from "../support/server.js";

/** The port of the origin that `/strict` lets in. */
const LISTED_PORT = 9399;

let browser;
let conformance;

before(async () => {
  browser = await launch();
  conformance = await startConformance();
});

after(async () => {
  await browser?.close();
  await conformance?.stop();
});

/** A site with one empty page; resolves to `null` when the port is taken. */
async function site(port) {
  const server = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>a page</title>");
  });
  server.listen(port, "127.0.0.1");
  const error = await Promise.race([once(server, "listening").then(() => null), once(server, "error").then(([e]) => e)]);
  if (error?.code === "EADDRINUSE") return null;
  if (error) throw error;
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

/** What a page of `origin` sees when it connects to `url`: an echo, or the code of a close. */
async function connectFrom(origin, url, protocols = []) {
  const page = await open(await browser.newContext());
  await page.goto(origin);
  const seen = await page.evaluate(
    ([url, protocols]) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, protocols);
        let opened = false;
        socket.onopen = () => ((opened = true), socket.send("hello"));
        socket.onmessage = (event) => resolve({ opened, echo: event.data, protocol: socket.protocol });
        socket.onclose = (event) => resolve({ opened, code: event.code });
      }),
    [url, protocols],
  );
  await page.context().close();
  return seen;
}

/** Upgrades the server has refused for their origin: 1006 alone could be any failure. */
async function refusals() {
  const metrics = await (await fetch(`http://${conformance.host}/metrics`)).text();
  return Number(/^websocket_upgrades_rejected_total\{outcome="origin"\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
}

test("a page of a foreign site is refused where origins are listed", async () => {
  const foreign = await site(0);
  const before = await refusals();
  const seen = await connectFrom(foreign.origin, `ws://${conformance.host}/strict`, ["echo"]);
  assert.deepEqual(seen, { opened: false, code: 1006 });
  assert.equal(await refusals(), before + 1);
  await foreign.close();
});

test("a page of a listed site is let in", async (t) => {
  const listed = await site(LISTED_PORT);
  if (!listed) return t.skip(`PORT ${LISTED_PORT} IS TAKEN: nothing was tested. Free it and run again.`);
  const seen = await connectFrom(listed.origin, `ws://${conformance.host}/strict`, ["echo"]);
  assert.deepEqual(seen, { opened: true, echo: "hello", protocol: "echo" });
  // The origin alone does not do: the route also wants one of its subprotocols.
  assert.deepEqual(await connectFrom(listed.origin, `ws://${conformance.host}/strict`), { opened: false, code: 1006 });
  await listed.close();
});

test("without a list only pages of the same host are let in", async () => {
  const foreign = await site(0);
  const before = await refusals();
  assert.deepEqual(await connectFrom(foreign.origin, `ws://${conformance.host}/echo`), { opened: false, code: 1006 });
  await foreign.close();
  const ownPage = `http://${conformance.host}/healthz`;
  // `localhost` is another host than `127.0.0.1`, even where both are one machine.
  const otherName = await connectFrom(ownPage, `ws://localhost:${conformance.port}/echo`);
  assert.deepEqual(otherName, { opened: false, code: 1006 });
  assert.equal(await refusals(), before + 2);
  const own = await connectFrom(ownPage, `ws://${conformance.host}/echo`, ["echo"]);
  assert.deepEqual(own, { opened: true, echo: "hello", protocol: "echo" });
});

test("a page without an origin is refused", async () => {
  const before = await refusals();
  const page = await open(await browser.newContext());
  await page.goto(`http://${conformance.host}/healthz`);
  // A sandboxed frame is of the origin `null`, whoever's page it is in.
  const code = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        addEventListener("message", (event) => resolve(event.data));
        const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts";
        frame.srcdoc = `<script>
          const socket = new WebSocket(${JSON.stringify(url)});
          socket.onopen = () => parent.postMessage("opened", "*");
          socket.onclose = (event) => parent.postMessage(event.code, "*");
        </script>`;
        document.body.append(frame);
      }),
    `ws://${conformance.host}/echo`,
  );
  assert.equal(code, 1006);
  assert.equal(await refusals(), before + 1);
  await page.context().close();
});

test("a foreign page cannot listen in on the chat", async () => {
  const chat = await startChat();
  const foreign = await site(0);
  const seen = await connectFrom(foreign.origin, `ws://127.0.0.1:${chat.port}/chat/lobby?name=Mallory`);
  assert.deepEqual(seen, { opened: false, code: 1006 });
  await foreign.close();
  await chat.stop();
});
