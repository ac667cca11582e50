// One headless Chromium.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  assert.ok(
    existsSync(executablePath),
    `${executablePath} does not exist: install Chromium (\`apt-get install chromium\`), or set CHROMIUM to one`,
  );
  return chromium.launch({ executablePath, args: ARGS });
}

/** A page whose errors fail the test that looks at `page.failures`. */
export async function open(context) {
  const page = await context.newPage();
  page.failures = [];
  page.on("pageerror", (error) => page.failures.push(String(error)));
  page.on("console", (message) => {
    // Chromium reports every refused connection itself; that is what these tests provoke.
    if (message.type() === "error" && !message.text().startsWith("WebSocket connection to") && !message.text().includes("ERR_CONNECTION")) {
      page.failures.push(message.text());
    }
  });
  page.setDefaultTimeout(15_000);
  return page;
}
