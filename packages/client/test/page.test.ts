// A contract that changes breaks the pages that use what has changed: where they use it, and nowhere else.
//
// `WIRELARK_BIN` is the command `wirelark`; the document is the conformance server's, changed as an edit of its Rust would
// change it.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program as conformance, type Server, startServer } from "./server.js";

const wirelark = process.env.WIRELARK_BIN;
const page = `${import.meta.dirname}/page.tsx`;
const lines = readFileSync(page, "utf8").split("\n");

describe.skipIf(wirelark === undefined || conformance === undefined)("a changed contract", () => {
  let server: Server;
  let document: string;
  beforeAll(async () => {
    server = await startServer();
    document = await (await fetch(`${server.url.replace("ws:", "http:")}/asyncapi.json`)).text();
  });
  afterAll(() => server.stop());

  /** The lines of the page that have errors with the module of this document. */
  function broken(changed: string): string[] {
    const generated = execFileSync(wirelark as string, ["generate", "ts", "--from", "-"], {
      input: changed,
      encoding: "utf8",
    });
    const folder = `${import.meta.dirname}/..`;
    const { config } = ts.readConfigFile(`${folder}/tsconfig.json`, ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
    const host = ts.createCompilerHost(options);
    const { getSourceFile } = host;
    host.getSourceFile = (name, version) =>
      name.endsWith("/generated/conformance.ts")
        ? ts.createSourceFile(name, generated, version, true)
        : getSourceFile(name, version);
    return ts
      .getPreEmitDiagnostics(ts.createProgram([page], options, host))
      .map(({ file, start, messageText }) => {
        const text = ts.flattenDiagnosticMessageText(messageText, " ");
        if (file?.fileName !== page || start === undefined) throw new Error(`${file?.fileName}: ${text}`);
        return lines[ts.getLineAndCharacterOfPosition(file, start).line]?.trim() ?? "";
      });
  }

  test("that has not changed breaks nothing", () => expect(broken(document)).toEqual([]), 60_000);

  const edits: [string, (document: string) => string, string][] = [
    [
      "an argument with another name",
      (text) =>
        text.replace(
          '"properties":{"text":{"type":"string"}},"required":["text"]',
          '"properties":{"words":{"type":"string"}},"required":["words"]',
        ),
      "const echoed = await session.call.echo",
    ],
    [
      "a call with another name",
      (text) => text.replaceAll('"title":"add"', '"title":"plus"'),
      "const { sum } = await session.call.add",
    ],
    [
      "a send with another name",
      (text) => text.replaceAll('"title":"nudge"', '"title":"poke"'),
      "session.send.nudge",
    ],
    [
      "a field of another type",
      (text) => text.replace('"n":{"type":"number","format":"double"}', '"n":{"type":"string"}'),
      'session.on("itemsChanged"',
    ],
    [
      "a push with another name",
      (text) => text.replaceAll('"title":"tick"', '"title":"tock"'),
      'session.on("tick"',
    ],
  ];
  test.each(edits)(
    "%s breaks its line",
    (_, edit, line) => {
      const sorted = JSON.stringify(JSON.parse(document), null, 0);
      const changed = edit(sorted);
      expect(changed).not.toBe(sorted);
      const found = broken(changed);
      expect(found.length).toBeGreaterThan(0);
      for (const one of found) expect(one).toContain(line);
    },
    60_000,
  );
});
