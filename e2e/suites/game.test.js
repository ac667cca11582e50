// Tic-tac-toe, whose page is React over the module that is generated from its contract.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, open } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { freePort, startGame } from "../support/server.js";

const sources = fileURLToPath(new URL("../../examples/tic-tac-toe/page/", import.meta.url));

let browser;
let server;

before(async () => {
  browser = await launch();
  server = await startGame({ port: await freePort() });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A page of somebody of their own, with its sockets counted. */
async function visit(room, prepare = async () => {}) {
  const page = await open(await browser.newContext({ viewport: { width: 390, height: 844 } }));
  page.sockets = 0;
  page.on("websocket", () => (page.sockets += 1));
  await prepare(page);
  await page.goto(`${server.url}/#${room}`);
  return page;
}

async function sit(page, name) {
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Play" }).click();
  await page.getByText("you", { exact: true }).waitFor();
}

/** Two players, each of whom sees the other. */
async function two(room, prepare) {
  const ada = await visit(room, prepare);
  await sit(ada, "Ada");
  const bob = await visit(room, prepare);
  await sit(bob, "Bob");
  await says(ada, "Your turn.");
  await says(bob, "Ada's turn.");
  return [ada, bob];
}

const cell = (page, place) => page.getByRole("region", { name: "Board" }).getByRole("button", { name: place });
const banner = (page) => page.getByRole("status");
const says = (page, news) => page.getByText(news, { exact: true }).waitFor();
const wrong = (page, text) => page.getByRole("alert").filter({ hasText: text }).waitFor();

/** Puts marks in turn, the first player's first; each is seen by both before the next. */
async function play(players, ...places) {
  for (const [turn, place] of places.entries()) {
    await cell(players[turn % 2], place).click();
    for (const page of players) await cell(page, new RegExp(`${place}, [XO]`)).waitFor();
  }
}

async function leave(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.failures, []);
    await page.context().close();
  }
}

/** What `document.hidden` and its kin say, and the event that tells of it. */
async function look(page, visibility) {
  await page.evaluate((visibility) => {
    Object.defineProperty(document, "visibilityState", { value: visibility, configurable: true });
    Object.defineProperty(document, "hidden", { value: visibility === "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, visibility);
}

test("two play, each mark is seen on both pages, and a third looks on", async () => {
  const [ada, bob] = await two("play");
  const cy = await visit("play");
  await says(ada, "1 looking on");
  await play([ada, bob], "middle center", "top left", "top right", "top center", "bottom left");
  await says(ada, "You have won!");
  for (const page of [bob, cy]) await says(page, "Ada has won.");
  assert.equal(await cy.locator(".cell.line").count(), 3);

  await bob.getByRole("button", { name: "Play again" }).click();
  await says(bob, "Your turn.");
  await says(cy, "Bob's turn.");
  await leave(bob);
  await ada.getByText("away").waitFor();
  await leave(ada, cy);
});

test("a name that is none, and a move against the rules, are said on the page", async () => {
  const [ada, bob] = await two("errors");
  const cy = await visit("errors");
  await cy.getByLabel("Your name").fill("a name of 21 letters.");
  await cy.getByRole("button", { name: "Play" }).click();
  await wrong(cy, "A name has at most 20 characters.");
  await cy.getByLabel("Your name").fill("Cy");
  await cy.getByRole("button", { name: "Play" }).click();
  await wrong(cy, "Both seats are taken");
  await cell(cy, "top left").click();
  await wrong(cy, "You are looking on");

  await cell(bob, "top left").click();
  await wrong(bob, "It is not your turn, but X's.");
  await play([ada], "middle center");
  assert.equal(await bob.getByRole("alert").textContent(), "", "what was wrong with the board before is still said");
  await cell(bob, "middle center").click();
  await wrong(bob, "This cell is taken.");
  await leave(ada, bob, cy);
});

test("a reload keeps the seat", async () => {
  const [ada, bob] = await two("reload");
  await play([ada, bob], "middle center");
  await ada.reload();
  await ada.getByText("you", { exact: true }).waitFor();
  await play([bob, ada], "top left", "top right");
  await leave(ada, bob);
});

test("on a phone everything fits, and the board stays where it is whatever happens around it", async () => {
  const [ada, bob] = await two("phone");
  const cy = await visit("phone");
  await cy.setViewportSize({ width: 320, height: 568 });
  const place = () => cy.locator(".board").boundingBox();
  await says(cy, "Ada's turn.");
  const before = await place();
  const fits = () => cy.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
  assert.deepEqual(await fits(), [320, 568]);
  await cell(cy, "top left").click();
  await wrong(cy, "You are looking on");
  assert.deepEqual(await place(), before);
  await play([ada, bob], "middle center", "top left", "top right", "top center", "bottom left");
  await says(cy, "Ada has won.");
  assert.deepEqual(await place(), before);
  await leave(bob);
  await cy.getByText("away").waitFor();
  assert.deepEqual(await place(), before);
  const { port } = server;
  await server.kill();
  await banner(cy).filter({ hasText: /Reconnecting/ }).waitFor();
  assert.deepEqual(await place(), before);
  assert.deepEqual(await fits(), [320, 568]);
  server = await startGame({ port });
  await leave(ada, cy);
});

test("a server that is killed is waited for, and played with again", async () => {
  const [ada, bob] = await two("crash");
  await play([ada, bob], "middle center");
  const { port } = server;
  await server.kill();
  for (const page of [ada, bob]) await banner(page).filter({ hasText: /Reconnecting/ }).waitFor();
  // Later attempts wait for longer: at some time there is a second to be read.
  await eventually(async () => assert.match(await banner(ada).textContent(), /Reconnecting in \d+ s…/));
  const { sockets } = ada;
  await eventually(async () => assert.ok(ada.sockets > sockets, "there was no further attempt"));

  server = await startGame({ port });
  for (const page of [ada, bob]) await banner(page).waitFor({ state: "detached", timeout: 40_000 });
  // The server has forgotten the game: who comes first plays X.
  const news = () => Promise.all([ada, bob].map((page) => page.locator(".news").textContent()));
  const first = await eventually(async () => {
    const turns = (await news()).map((text) => text === "Your turn.");
    assert.equal(turns.filter(Boolean).length, 1, `${await news()}`);
    return turns[0] ? [ada, bob] : [bob, ada];
  });
  await play(first, "top left", "top right");
  await leave(ada, bob);
});

test("a page nobody looks at does not try to reconnect, and does so when it is looked at", async () => {
  const page = await visit("hidden", (page) => page.clock.install());
  await sit(page, "Ada");
  assert.equal(page.sockets, 1);
  await look(page, "hidden");
  const { port } = server;
  await server.kill();
  await banner(page).filter({ hasText: "Reconnecting" }).waitFor();
  server = await startGame({ port });
  await page.clock.runFor(120_000);
  assert.equal(page.sockets, 1, "it has tried");
  await look(page, "visible");
  await banner(page).waitFor({ state: "detached" });
  await page.getByText("you", { exact: true }).waitFor();
  assert.equal(page.sockets, 2);
  await leave(page);
});

test("in StrictMode, which mounts everything twice, there is one connection", async () => {
  assert.ok(existsSync(`${sources}node_modules`), "the page's packages are missing: run `npm ci` in examples/tic-tac-toe/page");
  const folder = mkdtempSync(join(tmpdir(), "tic-tac-toe-"));
  execFileSync(process.execPath, [`${sources}build.js`, "--development", folder]);
  const script = readFileSync(join(folder, "page.js"), "utf8");
  rmSync(folder, { recursive: true });
  // Mounting twice is what only React's development build does.
  const prepare = (page) =>
    page.route("**/page.js", (route) => route.fulfill({ contentType: "text/javascript", body: script }));
  const [ada, bob] = await two("strict", prepare);
  await play([ada, bob], "middle center", "top left");
  for (const page of [ada, bob]) assert.equal(page.sockets, 1);
  await leave(ada, bob);
});

test("a page of another version is told so, by the contract's name, and stays away", async () => {
  const page = await visit("version", async (page) => {
    await page.route("**/page.js", async (route) => {
      const response = await route.fetch();
      const script = await response.text();
      const foreign = script.replace(/hash:"[0-9a-f]{16}"/, 'hash:"0123456789abcdef"');
      assert.notEqual(foreign, script);
      await route.fulfill({ response, body: foreign });
    });
    await page.clock.install();
  });
  await banner(page).filter({ hasText: /Game.*0123456789abcdef/ }).waitFor();
  await page.clock.runFor(120_000);
  assert.equal(page.sockets, 1);
  // What it is told to do helps.
  await page.unroute("**/page.js");
  await page.getByRole("button", { name: "Reload" }).click();
  await sit(page, "Ada");
  await leave(page);
});
