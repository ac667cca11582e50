// The terminal: a page with a shell, and what becomes of shells whose pages or servers are gone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { binary, startTerminal } from "../support/server.js";
import { connect } from "../support/socket.js";
import { startWire } from "../support/wire.js";

const WINDOW = 256 * 1024;

let browser;
let context;
let server;
let home;
/** What the server gave for its token. */
let key;

before(async () => {
  home = mkdtempSync(join(tmpdir(), "terminal-"));
  browser = await launch();
  context = await browser.newContext({ viewport: { width: 1000, height: 700 } });
  server = await startTerminal({ home });
  const page = await visit();
  await page.waitForURL(new URL("/", server.url).href);
  key = await page.evaluate(() => localStorage.getItem("terminal-key"));
  await leave(page);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  if (home) rmSync(home, { recursive: true });
});

/** A page with a shell. */
async function visit(url = server.url, { from = context } = {}) {
  const page = await open(from);
  await page.goto(url);
  await prompt(page);
  return page;
}

const screen = async (page) => (await page.locator(".xterm-rows > div").allTextContents()).map((line) => line.trimEnd());
const notice = (page, text) => page.getByRole("status").getByText(text).waitFor();

/** Waits for a line to be on the screen. */
async function reads(page, line) {
  await eventually(async () => {
    const lines = await screen(page);
    assert.ok(lines.some((text) => (line instanceof RegExp ? line.test(text) : text === line)), `no ${line} in\n${lines.join("\n")}`);
  });
}

async function prompt(page) {
  await page.locator("body[data-state=open]").waitFor();
  await reads(page, /[#$]$/);
}

async function run(page, command) {
  await page.keyboard.type(command);
  await page.keyboard.press("Enter");
}

/** The number in a line of the screen that begins so. */
async function number(page, name) {
  const pattern = new RegExp(`^${name}=(\\d+)$`);
  await reads(page, pattern);
  return Number((await screen(page)).map((line) => pattern.exec(line)?.[1]).findLast(Boolean));
}

async function leave(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.failures, []);
    await page.close();
  }
}

/** A client of our own with a shell, which says what it has seen only if the test does. */
async function enter() {
  const socket = await connect(`ws://127.0.0.1:${server.port}/terminal`);
  socket.send(JSON.stringify({ enter: { key, size: [80, 24] } }));
  return socket;
}

/** As `enter`, once the shell has shown something; fails if there is none. */
async function shown() {
  const socket = await enter();
  const ended = socket.ended.then(({ reason }) => assert.fail(reason));
  await Promise.race([socket.next(), ended]);
  return socket;
}

const lives = (pid) => existsSync(`/proc/${pid}`);
const gone = (...pids) => eventually(() => assert.deepEqual(pids.filter(lives), []));
/** Bytes a process has written so far. */
const written = (pid) => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))[1]);
const residentKiB = (pid) => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
const processes = (name) => execFileSync("ps", ["-eo", "pid=,comm="], { encoding: "utf8" }).split("\n").map((line) => line.trim().split(/\s+/)).filter(([, comm]) => comm === name).map(([pid]) => Number(pid));

/** The process of this name that `action` starts. */
async function startedBy(action, name) {
  const before = processes(name);
  await action();
  return eventually(() => {
    const [pid] = processes(name).filter((pid) => !before.includes(pid));
    assert.ok(pid, `there is no ${name}`);
    return pid;
  });
}

/** Waits until a process has stopped writing, and returns how much it had written. */
async function rests(pid) {
  let before = -1;
  return eventually(async () => {
    const now = written(pid);
    const rested = now === before;
    before = now;
    if (!rested) await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(rested, "it goes on writing");
    return now;
  });
}

test("what is typed reaches the shell, and what it shows the page", async () => {
  const page = await visit();
  await run(page, "echo $((6 * 7)) grüße $TERM; tty");
  await reads(page, "42 grüße xterm-256color");
  await reads(page, /^\/dev\/pts\/\d+$/);
  // What is typed before it sleeps would be the shell's.
  await run(page, "sh -c 'echo sleeping=$$; exec sleep 1000'");
  await number(page, "sleeping");
  await page.keyboard.press("Control+c");
  await run(page, "echo interrupted=$?");
  await reads(page, "interrupted=130");
  await run(page, String.raw`printf '\033]0;a title\007'`);
  await page.getByRole("heading", { name: "a title" }).waitFor();

  // Longer than a message may be, and every byte of it counts.
  await run(page, "stty -echo -icanon; echo reading=$$; head -c 200000 | md5sum; stty sane");
  await number(page, "reading");
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "x".repeat(200_000));
    document.querySelector(".xterm-helper-textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
  });
  await reads(page, `${execFileSync("md5sum", { input: "x".repeat(200_000), encoding: "utf8" }).trim()}`);
  await leave(page);
});

test("the shell has the size of the page", async () => {
  const page = await visit();
  for (const viewport of [{ width: 700, height: 500 }, { width: 1200, height: 800 }]) {
    const before = await page.locator("#size").textContent();
    await page.setViewportSize(viewport);
    await eventually(async () => assert.notEqual(await page.locator("#size").textContent(), before));
    const [columns, rows] = (await page.locator("#size").textContent()).split(" × ");
    await run(page, "stty size");
    await reads(page, `${rows} ${columns}`);
  }
  await leave(page);
});

test("how a shell ended is said, and Enter gets another one", async () => {
  const page = await visit();
  await run(page, "exit 3");
  await notice(page, "The shell has ended with code 3.");
  await page.keyboard.press("Enter");
  await reads(page, /── A new shell\. ──/);
  await reads(page, /exit 3$/);
  await run(page, "kill -9 $$");
  await notice(page, "The shell was ended: killed.");
  await page.getByRole("button", { name: "New shell" }).click();
  await prompt(page);
  await run(page, "exit");
  await notice(page, /^The shell has ended\.$/);
  await leave(page);
});

test("when the connection is lost the page says that the shell is gone, and that the next one is another", async (t) => {
  const wire = await startWire(server.port);
  t.after(() => wire.stop());
  const other = await browser.newContext();
  await other.addInitScript((key) => localStorage.setItem("terminal-key", key), key);
  const page = await visit(`http://127.0.0.1:${wire.port}/`, { from: other });
  await run(page, "echo shell=$$");
  const first = await number(page, "shell");
  // With a screen of its own, and the mouse: both are the old shell's.
  await run(page, String.raw`printf '\033[?1049h\033[?1000h'; sleep 1000`);
  wire.cut();
  await notice(page, "The connection is lost, and the shell is gone with it.");
  await reads(page, /── The shell above was lost\. This is a new one\. ──/);
  await reads(page, `shell=${first}`);
  await gone(first);
  await run(page, "echo next=$$");
  assert.notEqual(await number(page, "next"), first);
  assert.equal(await page.locator(".xterm.enable-mouse-events").count(), 0);
  await leave(page);
  await other.close();
});

test("whoever does not read makes the shell wait, and the server none the larger", async (t) => {
  const { pid } = server;
  const socket = await enter();
  t.after(() => socket.terminate());
  let received = 0;
  socket.on("message", (data, isBinary) => (received += isBinary ? data.length : 0));
  const before = residentKiB(pid);
  const yes = await startedBy(() => socket.send(Buffer.from("yes\n")), "yes");
  // It reads, and does not say that it has seen anything.
  const wrote = await rests(yes);
  assert.ok(received >= WINDOW && received < WINDOW + 64 * 1024, `${received} bytes were sent`);
  assert.ok(wrote < WINDOW + 256 * 1024, `yes has written ${wrote} bytes`);

  // It says that it has seen everything there will ever be, and does not read.
  socket.pause();
  socket.send(JSON.stringify({ shown: Number.MAX_SAFE_INTEGER }));
  await eventually(() => assert.ok(written(yes) > wrote + WINDOW, "it was not told"));
  await rests(yes);
  const grown = residentKiB(pid) - before;
  assert.ok(grown < 16 * 1024, `the server has grown by ${grown} KiB`);

  // It reads on, and so does the shell.
  const rested = written(yes);
  socket.resume();
  await eventually(() => assert.ok(written(yes) > rested + 8 * 1024 * 1024, "nothing more came"));
  socket.terminate();
  await gone(yes);
});

test("a page is not flooded: what it has not drawn is bounded, and Ctrl-C works", async () => {
  const page = await visit();
  const base64 = await startedBy(() => run(page, "cat /dev/urandom | base64"), "base64");
  await eventually(() => assert.ok(written(base64) > 4 * 1024 * 1024, "it does not keep up at all"));
  await page.keyboard.press("Control+c");
  await gone(base64);
  await run(page, "clear; echo still=$((40 + 2))");
  assert.equal(await number(page, "still"), 42);
  await leave(page);
});

test("no shell outlives its page, whatever it thinks of being hung up on", async () => {
  const pages = await Promise.all([visit(), visit()]);
  const [polite, stubborn] = pages;
  await run(stubborn, "trap '' HUP");
  await run(polite, "sleep 1234 & echo job=$!");
  const job = await number(polite, "job");
  const shells = [];
  for (const page of pages) {
    await run(page, "echo shell=$$");
    shells.push(await number(page, "shell"));
  }
  assert.deepEqual([...shells, job].map(lives), [true, true, true]);
  await leave(...pages);
  await gone(...shells, job);
});

test("a command that was half typed is not run when its page is closed", async () => {
  const page = await visit();
  // It lives for a moment longer than one that minds being hung up on.
  await run(page, "trap '' HUP; echo shell=$$");
  const shell = await number(page, "shell");
  const trace = join(home, "half-typed");
  await page.keyboard.type(`touch ${trace}`);
  await reads(page, /touch .*half-typed$/);
  await leave(page);
  await gone(shell);
  assert.equal(existsSync(trace), false);
});

test("a server that ends leaves no shell behind", async (t) => {
  const other = await startTerminal({ home });
  t.after(() => other.stop());
  const page = await visit(other.url, { from: await browser.newContext() });
  await run(page, "trap '' HUP; echo shell=$$");
  const shell = await number(page, "shell");
  await other.stop();
  assert.equal(lives(shell), false);
  await notice(page, "The connection is lost, and the shell is gone with it.");

  // One that comes in its place does not know the page, and the page does not try for ever.
  const third = await startTerminal({ home, port: other.port });
  t.after(() => third.stop());
  await notice(page, "This address lacks its token.");
  await page.getByRole("button", { name: "New shell" }).waitFor({ state: "hidden" });
  await leave(page);
});

test("nobody gets in without the token, from elsewhere, or twice with it", async () => {
  const refusals = [
    [{ token: new URL(server.url).hash.slice(1), size: [80, 24] }, 4401, /has been used/],
    [{ size: [80, 24] }, 4401, /lacks its token/],
    [{ key: "0".repeat(32), size: [80, 24] }, 4401, /lacks its token/],
    [{ key, size: [0, 24] }, 1007, /1 to 1000 columns/],
  ];
  for (const [enter, code, reason] of refusals) {
    const socket = await connect(`ws://127.0.0.1:${server.port}/terminal`);
    socket.send(JSON.stringify({ enter }));
    const ended = await socket.ended;
    assert.equal(ended.code, code, JSON.stringify(enter));
    assert.match(ended.reason, reason);
  }
  const early = await connect(`ws://127.0.0.1:${server.port}/terminal`);
  early.send(Buffer.from("touch hello\n"));
  assert.equal((await early.ended).code, 1007);

  await assert.rejects(connect(`ws://127.0.0.1:${server.port}/terminal`, [], { origin: "http://evil.example" }), /403/);
  assert.throws(
    () => execFileSync(binary("TERMINAL_BIN", "terminal"), ["--host", "0.0.0.0"], { stdio: "pipe" }),
    /unexpected argument '--host'/,
  );
});

test("there are eight shells at most, and the ninth is told", async (t) => {
  const sockets = [];
  t.after(() => sockets.map((socket) => socket.terminate()));
  // Shells of the tests before may be about to end.
  while (sockets.length < 8) sockets.push(await eventually(shown));
  const { code, reason } = await (await enter()).ended;
  assert.deepEqual([code, reason], [1013, "There are 8 shells already: end one of them."]);
  sockets.pop().close();
  sockets.push(await eventually(shown));
});

test("on a phone there are keys that phones lack, and nothing is wider than the screen", async () => {
  const phone = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await phone.addInitScript((key) => localStorage.setItem("terminal-key", key), key);
  const page = await visit(new URL("/", server.url).href, { from: phone });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  await run(page, "echo one");
  await reads(page, "one");
  await run(page, "clear");
  await page.getByRole("button", { name: "↑" }).tap();
  await page.getByRole("button", { name: "↑" }).tap();
  await page.keyboard.press("Enter");
  await reads(page, "one");
  await run(page, "sleep 1000");
  await page.getByRole("button", { name: "Control" }).tap();
  await page.keyboard.type("c");
  await run(page, "echo interrupted=$?");
  await reads(page, "interrupted=130");
  await leave(page);
  await phone.close();
});
