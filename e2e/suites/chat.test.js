// The chat as two people see it, and what is left of it when its server dies.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { freePort, startChat } from "../support/server.js";

let browser;
let server;

before(async () => {
  browser = await launch();
  server = await startChat({ port: await freePort() });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A tab of somebody of their own, in a room of the test's. */
async function enter(room, name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  const page = await open(context);
  await page.goto(`${server.url}/#${room}`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Name", { exact: true }).press("Enter");
  await present(page, name);
  return page;
}

const people = (page) => page.locator("#people li");
const posts = (page) => page.locator("#log .post:not(.waiting) .bubble");
const banner = (page) => page.locator("#banner");
const message = (page) => page.getByRole("textbox", { name: "Message" });

async function present(page, name) {
  await people(page).filter({ hasText: name }).first().waitFor({ state: "attached" });
}

async function say(page, text) {
  await message(page).fill(text);
  await message(page).press("Enter");
}

/** Waits until the room reads so, nothing missing and nothing twice. */
async function reads(page, expected) {
  await eventually(async () => assert.deepEqual(await posts(page).allTextContents(), expected));
}

async function leave(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.failures, []);
    await page.context().close();
  }
}

test("two people talk, a third reads what was said", async () => {
  const ada = await enter("talk", "Ada");
  const bob = await enter("talk", "Bob");
  await present(ada, "Bob");
  assert.deepEqual(await people(bob).allTextContents(), ["BBobyou", "AAda"]);

  await message(ada).pressSequentially("hel");
  await bob.getByText("Ada is typing…").waitFor();
  await message(ada).pressSequentially("lo <img src=x onerror=alert(1)>");
  await message(ada).press("Enter");
  await say(bob, "hi\nAda");
  for (const page of [ada, bob]) await reads(page, ["hello <img src=x onerror=alert(1)>", "hi\nAda"]);
  assert.equal(await bob.locator("#log img").count(), 0, "a message was read as HTML");
  assert.equal(await bob.locator("#typing").textContent(), "");
  assert.equal(await ada.locator(".post.own").count(), 1);
  assert.equal(await bob.locator(".post:not(.own) .author").textContent(), "Ada");

  const cy = await enter("talk", "Cy");
  await reads(cy, ["hello <img src=x onerror=alert(1)>", "hi\nAda"]);
  await leave(cy);
  await ada.getByText("Cy left").waitFor();
  assert.equal(await people(ada).count(), 2);
  await leave(ada, bob);
});

test("a reload keeps the name, the history and the draft", async () => {
  const ada = await enter("reload", "Ada");
  await say(ada, "before");
  await reads(ada, ["before"]);
  await message(ada).fill("half a sen");
  await ada.reload();
  await present(ada, "Ada");
  await reads(ada, ["before"]);
  assert.equal(await message(ada).inputValue(), "half a sen");
  assert.equal(await ada.locator(".post.own").count(), 1, "one's own posts are not known as such after a reload");
  await leave(ada);
});

test("the server says what is wrong with a name and with a text", async () => {
  const ada = await open(await browser.newContext());
  await ada.goto(`${server.url}/#errors`);
  const name = ada.getByLabel("Name", { exact: true });
  await name.fill("x".repeat(25));
  await name.press("Enter");
  await ada.getByText("A name has at most 24 characters.").waitFor();
  await name.fill("Ada");
  await name.press("Enter");
  await present(ada, "Ada");

  await say(ada, "x".repeat(1001));
  await ada.getByText("A message has at most 1000 characters; this one has 1001.").waitFor();
  assert.equal((await message(ada).inputValue()).length, 1001, "the refused text is gone");
  await reads(ada, []);

  await ada.getByRole("button", { name: "change name" }).click();
  await name.fill("***");
  await name.press("Enter");
  await ada.getByText("A name needs a letter or a digit").waitFor();
  await name.fill("Countess");
  await name.press("Enter");
  await present(ada, "Countess");
  assert.equal(await ada.evaluate(() => localStorage.getItem("name")), "Countess");
  await leave(ada);
});

test("rooms are apart, and listed", async () => {
  const ada = await enter("north", "Ada");
  const bob = await enter("south", "Bob");
  await say(ada, "for the north");
  await reads(ada, ["for the north"]);
  await bob.getByLabel("Go to or create a room").fill("North");
  await bob.getByLabel("Go to or create a room").press("Enter");
  await reads(bob, ["for the north"]);
  assert.equal(new URL(bob.url()).hash, "#north");
  await present(ada, "Bob");
  await bob.getByLabel("Go to or create a room").fill("what? no!");
  await bob.getByLabel("Go to or create a room").press("Enter");
  await bob.getByText("A room's name has 1 to 32 letters").waitFor();
  await bob.getByRole("link", { name: /north/ }).click();
  await reads(bob, ["for the north"]);
  await leave(ada, bob);
});

test("a reader who has scrolled up is not moved, and told", async () => {
  const ada = await enter("scroll", "Ada");
  const bob = await enter("scroll", "Bob");
  for (let n = 0; n < 30; n += 1) await say(ada, `line ${n}`);
  await eventually(async () => assert.equal(await posts(bob).count(), 30));
  await bob.locator("#scroller").evaluate((scroller) => (scroller.scrollTop = 0));
  await bob.waitForTimeout(100);
  await say(ada, "news");
  await bob.getByRole("button", { name: "1 new message" }).click();
  await bob.getByRole("button", { name: "new message" }).waitFor({ state: "hidden" });
  const distance = await bob.locator("#scroller").evaluate((s) => s.scrollHeight - s.scrollTop - s.clientHeight);
  assert.ok(distance < 2, `${distance} px from the end`);
  await leave(ada, bob);
});

test("on a phone rooms and people are a drawer, and nothing is wider than the screen", async () => {
  const ada = await enter("phone", "Ada", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await say(ada, "https://example.com/" + "long".repeat(60));
  await eventually(async () => assert.equal(await posts(ada).count(), 1));
  assert.equal(await ada.evaluate(() => document.documentElement.scrollWidth), 390);
  assert.equal(await ada.getByLabel("Go to or create a room").isVisible(), false);
  await ada.locator("#side-open").tap();
  await ada.getByLabel("Go to or create a room").waitFor({ state: "visible" });
  await ada.keyboard.press("Escape");
  await ada.getByLabel("Go to or create a room").waitFor({ state: "hidden" });
  for (const button of await ada.locator("main button:visible").all()) {
    const { width, height } = await button.boundingBox();
    assert.ok(Math.min(width, height) >= 44, `${await button.getAttribute("id")} is ${width} × ${height}`);
  }
  await leave(ada);
});

test("a server that dies and comes back loses nothing of what is on the pages", async () => {
  const ada = await enter("crash", "Ada");
  const bob = await enter("crash", "Bob");
  await present(ada, "Bob");
  await say(ada, "one");
  for (const page of [ada, bob]) await reads(page, ["one"]);

  const { port } = server;
  await server.kill();
  for (const page of [ada, bob]) {
    await page.getByRole("status").filter({ hasText: "Connection lost." }).waitFor();
    await page.getByRole("button", { name: "Try now" }).waitFor();
  }
  await eventually(async () => assert.match(await banner(ada).textContent(), /Trying again in \d+ s/));
  server = await startChat({ port });
  await banner(ada).waitFor({ state: "hidden" });
  await banner(bob).waitFor({ state: "hidden", timeout: 30_000 });
  await present(ada, "Bob");
  await say(bob, "two");
  await say(ada, "three");
  for (const page of [ada, bob]) await reads(page, ["one", "two", "three"]);

  // The second time one of them is in the middle of a sentence, and sends it into nothing.
  await message(ada).pressSequentially("fo");
  await server.kill();
  await banner(ada).waitFor();
  await message(ada).pressSequentially("ur");
  assert.equal(await message(ada).inputValue(), "four");
  await message(ada).press("Enter");
  await ada.locator(".post.waiting").getByText("four").waitFor();
  await message(ada).pressSequentially("fi");
  server = await startChat({ port });
  await banner(bob).waitFor({ state: "hidden", timeout: 30_000 });
  await eventually(async () => {
    // Pressing it early is what it is for; it is gone as soon as the page is back.
    if (await banner(ada).isVisible()) await ada.getByRole("button", { name: "Try now" }).click({ timeout: 500 });
    assert.equal(await banner(ada).isVisible(), false);
  });
  for (const page of [ada, bob]) await reads(page, ["one", "two", "three", "four"]);
  assert.equal(await ada.locator(".post.waiting").count(), 0);
  await message(ada).pressSequentially("ve");
  await message(ada).press("Enter");
  for (const page of [ada, bob]) await reads(page, ["one", "two", "three", "four", "five"]);
  await leave(ada, bob);
});

test("what was said while a page was away is there when it comes back", async () => {
  const ada = await enter("away", "Ada");
  const bob = await enter("away", "Bob");
  await say(ada, "one");
  await reads(bob, ["one"]);
  await bob.context().setOffline(true);
  await bob.getByRole("status").filter({ hasText: "You are offline." }).waitFor();
  await ada.getByText("Bob left").waitFor();
  await say(ada, "two");
  await say(bob, "three, from the tunnel");
  await reads(ada, ["one", "two"]);
  await bob.context().setOffline(false);
  for (const page of [ada, bob]) await reads(page, ["one", "two", "three, from the tunnel"]);
  await leave(ada, bob);
});
