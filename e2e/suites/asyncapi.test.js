// The generated AsyncAPI document, judged by the parser of those who write the specification.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Parser } from "@asyncapi/parser";
import { startConformance } from "../support/server.js";

let server;

before(async () => (server = await startConformance()));
after(async () => server?.stop());

const ERROR = 0; // the parser's severities go from 0, an error, to 3, a hint

test("the document is AsyncAPI 3, and says what the contract says", async () => {
  const response = await fetch(`http://${server.host}/asyncapi.json`);
  assert.equal(response.headers.get("content-type"), "application/json");
  const { document, diagnostics } = await new Parser().parse(await response.text());
  assert.deepEqual(diagnostics.filter(({ severity }) => severity === ERROR), []);

  assert.equal(document.version(), "3.0.0");
  const channel = document.channels().all().find((channel) => channel.address() === "/rpc");
  const operations = channel.operations().all();
  const titles = (action) => operations.filter((operation) => operation.action() === action).map((operation) => operation.title());
  assert.deepEqual(titles("receive"), ["echo", "add", "fail", "crash", "list", "slow", "emit", "nudge"]);
  assert.deepEqual(titles("send"), ["itemsChanged", "tick"]);

  const add = operations.find((operation) => operation.title() === "add");
  const body = (message) => message.payload().property("body");
  assert.deepEqual(Object.keys(body(add.messages().all()[0]).properties()), ["a", "b"]);
  const [sum, error] = add.reply().messages().all();
  assert.equal(body(sum).property("sum").type(), "number");
  assert.equal(error.payload().property("socka").const(), "serverError");
});
