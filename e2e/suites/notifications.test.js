// The shop of notifications: orders that move on in all windows of their buyer, also when the server dies meanwhile.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { freePort, startShop } from "../support/server.js";

let browser;
let server;
let store;

before(async () => {
  browser = await launch();
  store = mkdtempSync(join(tmpdir(), "notifications-"));
  server = await startShop({ port: await freePort(), store });
});

after(async () => {
  await browser?.close();
  await server?.stop();
  if (store) rmSync(store, { recursive: true });
});

/** A window of a user's, with its sockets' messages counted. Each is a browser of its own: another device. */
async function visit(user, { width = 900, height = 700 } = {}) {
  const page = await open(await browser.newContext({ viewport: { width, height } }));
  page.pushes = 0;
  page.on("websocket", (socket) => socket.on("framereceived", () => (page.pushes += 1)));
  await page.goto(`${server.url}/?user=${user}`);
  await live(page);
  return page;
}

const live = (page) => page.getByRole("status").filter({ hasText: "Live" }).waitFor({ timeout: 30_000 });
const card = (page, item) => page.getByRole("listitem").filter({ hasText: item });
const percent = (page, item) => page.getByRole("progressbar", { name: item }).evaluate((bar) => bar.value);
const wrong = (page, text) => page.getByRole("alert").filter({ hasText: text }).waitFor();

async function order(page, item) {
  await page.getByLabel("What would you like?").fill(item);
  await page.getByRole("button", { name: "Order" }).click();
  await card(page, item).waitFor();
}

/** Waits until an order is at least so far, and says how far it is. */
function reaches(page, item, least) {
  return eventually(async () => {
    const now = await percent(page, item);
    assert.ok(now >= least, `${item} is at ${now} %`);
    return now;
  });
}

async function leave(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.failures, []);
    await page.context().close();
  }
}

test("two windows of one user move together, and another user sees nothing", async () => {
  const [phone, laptop, bob] = [await visit("ada", { width: 390 }), await visit("ada"), await visit("bob")];
  const item = "A bell <img src=x onerror=alert(1)>";
  await order(phone, item);
  for (const page of [phone, laptop]) {
    const early = await reaches(page, item, 5);
    assert.ok(early < 100, "it was there before anybody could see it move");
  }
  // Between two steps, both show the same.
  await eventually(async () => {
    const both = await Promise.all([phone, laptop].map((page) => percent(page, item)));
    assert.ok(both[0] === both[1] && both[0] > 20, `${both}`);
  });
  for (const page of [phone, laptop]) {
    await card(page, item).getByText("Delivered").waitFor();
    assert.equal(await percent(page, item), 100);
    assert.equal(await page.locator("#orders img").count(), 0, "an item was read as HTML");
    assert.ok(page.pushes >= 20, `${page.pushes} pushes for twenty steps`);
  }
  await bob.getByText("Nothing ordered yet.").waitFor();
  assert.equal(await bob.getByRole("listitem").count(), 0);
  assert.equal(bob.pushes, 0);
  await leave(phone, laptop, bob);
});

test("a server that is killed in the middle of an order goes on with it, and the pages with the server", async () => {
  const [phone, laptop] = [await visit("cy"), await visit("cy")];
  await order(phone, "A ladder");
  await order(laptop, "A lamp");
  const before = await reaches(phone, "A ladder", 25);
  const { port } = server;
  await server.kill();
  for (const page of [phone, laptop]) {
    await page.getByRole("status").filter({ hasText: "Reconnecting…" }).waitFor();
  }
  const died = await percent(phone, "A ladder");
  assert.ok(died >= before && died < 100, `it was at ${died} % when the server died`);
  await phone.getByLabel("What would you like?").fill("A horn");
  await phone.getByRole("button", { name: "Order" }).click();
  await wrong(phone, "The shop did not answer.");

  server = await startShop({ port, store });
  for (const page of [phone, laptop]) {
    await live(page);
    assert.ok((await percent(page, "A ladder")) >= died, "it began again");
    for (const item of ["A ladder", "A lamp"]) {
      await card(page, item).getByText("Delivered").waitFor();
      await card(page, item).getByText("Resumed after a restart: attempt 2").waitFor();
    }
    assert.equal(await page.getByRole("listitem").count(), 2);
  }
  await leave(phone, laptop);
});

test("a window that is opened later shows what there is, and what becomes of it", async () => {
  const early = await visit("dee");
  for (const item of ["First", "Second"]) await order(early, item);
  await reaches(early, "Second", 15);
  const late = await visit("dee");
  assert.ok((await reaches(late, "First", 15)) < 100);
  assert.deepEqual(await late.locator(".item").allTextContents(), ["Second", "First"]);
  await card(late, "Second").getByText("Delivered").waitFor();
  await late.reload();
  await card(late, "First").getByText("Delivered").waitFor();
  await leave(early, late);
});

test("what cannot be ordered is said on the page", async () => {
  const page = await visit("eve");
  await page.getByLabel("What would you like?").fill("   ");
  await page.getByRole("button", { name: "Order" }).click();
  await wrong(page, "Say what you want, in at most 60 characters.");
  for (let n = 1; n <= 5; n += 1) await order(page, `Thing ${n}`);
  assert.equal(await page.getByRole("alert").textContent(), "", "what was wrong before is still said");
  await page.getByLabel("What would you like?").fill("Thing 6");
  await page.getByRole("button", { name: "Order" }).click();
  await wrong(page, "Too much is on its way already.");
  assert.equal(await page.getByRole("listitem").count(), 5);
  // Chromium reports each refusal itself.
  page.failures = page.failures.filter((failure) => !/status of 4(22|29)/.test(failure));
  await leave(page);
});

test("on a phone everything fits", async () => {
  const page = await visit("flo", { width: 320, height: 568 });
  await order(page, "x".repeat(60));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
  await leave(page);
});
