// Tabs of one browser that share a socket, which is in a SharedWorker.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { launch, open } from "../support/browser.js";
import { startSite } from "../support/client.js";
import { eventually } from "../support/eventually.js";
import { startConformance } from "../support/server.js";

/** A page with a session. Its worker's script is the one that the page's address names. */
const PAGE = `<script type="module">
  import { connect, unchecked } from "@wirelark/client";
  import { shared } from "@wirelark/client/share";
  const rpc = {
    name: "Rpc",
    calls: Object.fromEntries(["echo", "slow", "emit"].map((name) => [name, { output: unchecked() }])),
    pushes: { itemsChanged: {} },
  };
  const { worker = "/worker.js" } = Object.fromEntries(new URLSearchParams(location.search));
  const start = () => new SharedWorker(worker, { type: "module" });
  const statuses = [];
  const options = { url: "/rpc", reconnect: { initial: 50 }, onStatus: (status) => statuses.push(status) };
  const session = connect(rpc, shared(start, options));
  let changes = 0;
  session.on("itemsChanged", () => (changes += 1));
  Object.assign(window, { session, statuses, changes: () => changes });
</script>`;

const FILES = {
  "/": PAGE,
  "/other": "<p>somewhere else</p>",
  "/worker.js": 'import { serveTabs } from "/client/share.js"; serveTabs();',
  "/broken.js": "this is no script",
};

let browser;
let server;
let site;
let context;

before(async () => {
  browser = await launch();
  server = await startConformance();
  site = await startSite(server, FILES);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  await server?.stop();
});

beforeEach(async () => {
  context = await browser.newContext();
});

afterEach(async () => {
  await context.close();
  await haveConnections(0);
});

async function tab(path = "/") {
  const page = await open(context);
  await page.goto(site.origin + path);
  return page;
}

const connected = (page) => page.evaluate(() => window.session.connect());
const status = (page) => page.evaluate(() => window.session.status);
const changes = (page) => page.evaluate(() => window.changes());

async function answers(page, text) {
  assert.deepEqual(await page.evaluate((text) => window.session.call.echo({ text }), text), { text });
}

/** Waits until the server has so many connections. */
async function haveConnections(expected) {
  await eventually(async () => {
    const text = await (await fetch(`http://${server.host}/metrics`)).text();
    const count = /^websocket_connections_active\{route="\/rpc"\} (\d+)$/m.exec(text)?.[1];
    assert.equal(Number(count), expected);
  });
}

test("three tabs have one socket, their own answers, and every push", async () => {
  const [ada, bob] = [await tab(), await tab()];
  await Promise.all([ada, bob].map(connected));
  const cy = await tab();
  await connected(cy);
  await haveConnections(1);
  assert.deepEqual(await cy.evaluate(() => window.statuses), ["idle", "connecting", "open"]);
  const tabs = [ada, bob, cy];
  await Promise.all(tabs.map((page, n) => answers(page, `from tab ${n}`)));
  await bob.evaluate(() => window.session.call.emit({ ticks: 0 }));
  for (const page of tabs) await eventually(async () => assert.equal(await changes(page), 1));

  await bob.evaluate(() => window.session.close());
  await Promise.all([ada, cy].map((page) => answers(page, "still here")));
  await haveConnections(1);
  await ada.evaluate(() => window.session.close());
  await cy.evaluate(() => window.session.close());
  await haveConnections(0);
  await connected(bob);
  await answers(bob, "back");
  for (const page of tabs) assert.deepEqual(page.failures, []);
});

test("a tab that is closed or killed in the middle of a call leaves the others working", async () => {
  const tabs = [await tab(), await tab(), await tab()];
  const [closed, killed, left] = tabs;
  await Promise.all(tabs.map(connected));
  for (const page of [closed, killed]) {
    await page.evaluate(() => void window.session.call.slow({ ms: 60_000, tag: "never" }).catch(() => {}));
  }
  await closed.close();
  await answers(left, "one is gone");
  const devtools = await context.newCDPSession(killed);
  const crashed = killed.waitForEvent("crash");
  devtools.send("Page.crash").catch(() => {}); // nobody is left to answer
  await crashed;
  await answers(left, "two are gone");
  await haveConnections(1);
  // Killed or not, nobody else keeps the socket open.
  await left.evaluate(() => window.session.close());
  await haveConnections(0);
});

test("a lost connection is made again, once for all", async () => {
  const tabs = [await tab(), await tab()];
  await Promise.all(tabs.map(connected));
  const waits = tabs[0].evaluate(() =>
    window.session.call.slow({ ms: 60_000, tag: "never" }).catch(({ name, sent }) => ({ name, sent })),
  );
  await answers(tabs[0], "the call is there");
  site.cut();
  assert.deepEqual(await waits, { name: "DisconnectedError", sent: true });
  for (const page of tabs) {
    await answers(page, "back");
    assert.deepEqual((await page.evaluate(() => window.statuses)).slice(-2), ["reconnecting", "open"]);
  }
  await haveConnections(1);
});

test("a page that is left and gone back to is connected again", async () => {
  const [page, other] = [await tab(), await tab()];
  await Promise.all([page, other].map(connected));
  await page.goto(`${site.origin}/other`);
  await answers(other, "alone");
  await page.goBack();
  await connected(page);
  await answers(page, "here I am");
  await page.reload();
  await connected(page);
  await haveConnections(1);
});

test("a worker that dies is missed", async () => {
  const page = await tab();
  await connected(page);
  const devtools = await browser.newBrowserCDPSession();
  const { targetInfos } = await devtools.send("Target.getTargets", { filter: [{ type: "shared_worker" }] });
  assert.equal(targetInfos.length, 1);
  await devtools.send("Target.closeTarget", { targetId: targetInfos[0].targetId });
  await eventually(async () => assert.ok((await page.evaluate(() => window.statuses)).includes("reconnecting")));
  await eventually(async () => assert.equal(await status(page), "open"));
  await answers(page, "with another worker");
});

test("each tab has a socket of its own where there is no worker", async () => {
  await context.addInitScript(() => {
    if (location.search === "?none") delete globalThis.SharedWorker;
  });
  const tabs = [await tab("/?none"), await tab("/?worker=/missing.js"), await tab("/?worker=/broken.js")];
  await Promise.all(tabs.map(connected));
  await haveConnections(3);
  for (const page of tabs) {
    await answers(page, "alone");
    assert.equal(await status(page), "open");
  }
});
