// Starts and stops the servers under test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const START_TIMEOUT = 15_000;
const STOP_TIMEOUT = 15_000;

/** The chat; `server.url` is its page. */
export function startChat({ port = 0 } = {}) {
  return start(binary("CHAT_BIN", "chat"), ["--port", String(port)], /^(http:\/\/\S+:(\d+))$/m);
}

/** Live cursors; `server.url` is its page. */
export function startCursors({ port = 0 } = {}) {
  return start(binary("CURSORS_BIN", "cursors"), ["--port", String(port)], /^(http:\/\/\S+:(\d+))$/m);
}

/** Tic-tac-toe; `server.url` is its page. */
export function startGame({ port = 0 } = {}) {
  return start(binary("GAME_BIN", "tic-tac-toe"), ["--port", String(port)], /^(http:\/\/\S+:(\d+))$/m);
}

/** The terminal, whose shells are bash in an empty home; `server.url` is its page, with the token. */
export function startTerminal({ port = 0, home }) {
  return start(binary("TERMINAL_BIN", "terminal"), ["--port", String(port)], /^(http:\/\/\S+:(\d+)\/#\w+)$/m, { SHELL: "/bin/bash", HOME: home });
}

/** The shop of notifications, with its files in `store`; `server.url` is its page. */
export function startShop({ port = 0, store }) {
  return start(binary("NOTIFICATIONS_BIN", "notifications"), ["--port", String(port)], /^(http:\/\/\S+:(\d+))$/m, { STORE: store });
}

/** The conformance server; `server.host` is where it listens. */
export async function startConformance({ port = 0 } = {}) {
  const server = await start(binary("CONFORMANCE_BIN", "conformance"), ["--listen", `127.0.0.1:${port}`], /^listening on (\S+:(\d+))$/m);
  server.host = server.ready[1];
  return server;
}

/** A port nobody listens on now. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** The program under test that a variable names, or the one of the last build. */
export function binary(variable, name) {
  const path = process.env[variable] ?? fileURLToPath(new URL(`../../target/debug/${name}`, import.meta.url));
  assert.ok(existsSync(path), `${path} does not exist: build it with \`cargo build -p ${name}\`, or set ${variable} to it`);
  return path;
}

async function start(path, args, readyLine, variables = {}) {
  // Its own PORT would be read as an option.
  const env = { ...process.env, ...variables };
  delete env.PORT;
  const child = spawn(path, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (errors = (errors + text).slice(-10_000)));
  const ready = await new Promise((resolve, reject) => {
    const fail = (why) => {
      child.kill("SIGKILL");
      reject(new Error(`${path} ${args.join(" ")} ${why}\n${output}${errors}`));
    };
    const timer = setTimeout(() => fail("did not say that it is ready"), START_TIMEOUT);
    child.once("error", (error) => fail(`cannot be run: ${error.message}`));
    child.once("exit", (code) => fail(`exited with ${code}`));
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      const match = readyLine.exec(output);
      if (!match) return;
      clearTimeout(timer);
      child.removeAllListeners("exit");
      resolve(match);
    });
  });
  const ended = child.exitCode !== null ? Promise.resolve([child.exitCode]) : once(child, "exit");
  return {
    ready,
    pid: child.pid,
    url: ready[1],
    port: Number(ready[2]),
    errors: () => errors,
    /** Pulls the plug. */
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    /** Stops it as an operator would; it must end by itself, and well. */
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT);
      const [code, signal] = await ended;
      clearTimeout(timer);
      assert.equal(signal ?? code, 0, `${path} did not stop well\n${errors}`);
    },
  };
}
