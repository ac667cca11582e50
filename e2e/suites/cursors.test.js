// Live cursors: pages that see each other point, and one that cannot keep up.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { launch, open } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { startCursors } from "../support/server.js";
import { connect } from "../support/socket.js";

/** The far edges of a page, as the contract has it. */
const EDGE = 65535;

let browser;
let server;

before(async () => {
  browser = await launch();
  server = await startCursors();
});

// A test that fails leaves nobody on the page of the next.
afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A page of somebody of their own, under this name. Nobody has it in two tests: who has just gone may still be listed. */
async function visit(name, viewport = { width: 800, height: 600 }) {
  const page = await open(await browser.newContext({ viewport }));
  page.moves = 0;
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      if (payload.includes('"event":"moved"')) page.moves += 1;
    }),
  );
  await page.goto(server.url);
  await page.getByText("you", { exact: true }).waitFor();
  await rename(page, name);
  await person(page, name).waitFor();
  return page;
}

async function rename(page, name) {
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Your name").press("Enter");
}

async function leave(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.failures, []);
    await page.context().close();
  }
}

const person = (page, name) => page.getByRole("listitem").filter({ hasText: name });
const pointer = (page, name) => page.locator(".pointer").filter({ hasText: name });

/** Waits for a pointer to be so many parts of the page's width and height from its top left. */
async function pointsAt(page, name, [x, y]) {
  const { width, height } = page.viewportSize();
  await eventually(async () => {
    // A pointer nobody has seen yet has no box.
    const box = await pointer(page, name).boundingBox();
    const off = [box?.x - x * width, box?.y - y * height];
    assert.ok(off.every((pixels) => Math.abs(pixels) < 4), `${name} is off by ${off}`);
  });
}

test("two pages see where the other points, whatever their sizes, and what it is called", async () => {
  const ada = await visit("Ada");
  const bob = await visit("Bob", { width: 390, height: 844 });
  await person(ada, "Bob").waitFor();
  await ada.mouse.move(400, 450);
  await pointsAt(bob, "Ada", [0.5, 0.75]);
  await ada.mouse.move(80, 540, { steps: 20 });
  await pointsAt(bob, "Ada", [0.1, 0.9]);
  await bob.mouse.move(312, 633);
  await pointsAt(ada, "Bob", [0.8, 0.75]);
  assert.equal(await pointer(ada, "Ada").isVisible(), false, "she sees a second pointer of her own");

  await rename(bob, " ");
  await bob.getByRole("alert").filter({ hasText: "A name has 1 to 24 characters." }).waitFor();
  await rename(bob, "Robert");
  await person(ada, "Robert").waitFor();
  await pointsAt(ada, "Robert", [0.8, 0.75]);
  await leave(ada, bob);
});

test("who closes the page is gone from the list, and so is the pointer", async () => {
  const cy = await visit("Cy");
  const di = await visit("Di");
  await person(cy, "Di").waitFor();
  await di.mouse.move(400, 300);
  await pointsAt(cy, "Di", [0.5, 0.5]);
  await leave(di);
  await person(cy, "Di").waitFor({ state: "detached" });
  await pointer(cy, "Di").waitFor({ state: "detached" });
  await person(cy, "Cy").waitFor();
  await leave(cy);
});

/** Somebody without a page, who can point faster than any hand. */
async function point(name) {
  const socket = await connect(server.url.replace("http", "ws") + "/cursors", ["wirelark.v1.json"]);
  const ask = (rpc, body) => socket.send(JSON.stringify({ socka: "clientRequest", v: 1, id: rpc, rpc, body }));
  /** Answered when the server is through with what was sent before it. */
  async function enter() {
    ask("enter", { name });
    for (;;) {
      const { socka, id, error } = JSON.parse(await socket.next());
      if (socka !== "serverEvent") return assert.deepEqual([socka, id, error], ["serverResponse", "enter", undefined]);
    }
  }
  await enter();
  return { enter, at: (x, y) => ask("point", { x: x * EDGE, y: y * EDGE }), leave: () => socket.terminate() };
}

test("a page that stands still for a while sees the newest place of each at once, and says what it skipped", async () => {
  const HALF = 20_000;
  const page = await visit("Eve");
  const [hasty, calm] = [await point("Hasty"), await point("Calm")];
  for (const name of ["Hasty", "Calm"]) await person(page, name).waitFor();

  // A page with a dialog reads nothing.
  const dialog = page.waitForEvent("dialog");
  const standing = page.evaluate(() => alert("Still."));
  const opened = await dialog;
  for (let n = 0; n < HALF; n += 1) hasty.at(n % 2, 0);
  await hasty.enter();
  // It waits for the page, however much else comes after it.
  calm.at(0.6, 0.2);
  await calm.enter();
  for (let n = 1; n < HALF; n += 1) hasty.at(n % 2, 0);
  hasty.at(0.2, 0.6);
  await hasty.enter();
  await opened.accept();
  await standing;

  await pointsAt(page, "Hasty", [0.2, 0.6]);
  await pointsAt(page, "Calm", [0.6, 0.2]);
  const skipped = await page.getByText(/places were skipped/).textContent();
  const missed = Number(skipped.match(/^[\d,]+/)[0].replaceAll(",", ""));
  assert.equal(page.moves + missed, 2 * HALF + 1, "a place was neither told nor counted");
  assert.ok(missed > HALF, `it was told ${page.moves} places`);
  hasty.leave();
  calm.leave();
  await leave(page);
});
