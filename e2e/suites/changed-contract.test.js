// An edit of a contract in Rust, generated again, is an error where the page uses what has changed, and nowhere else.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { binary, startGame } from "../support/server.js";

const folder = fileURLToPath(new URL("../../examples/tic-tac-toe/page/", import.meta.url));
// The page's own compiler.
const ts = createRequire(`${folder}package.json`)("typescript");

let server;
let contract;

before(async () => {
  server = await startGame();
  contract = JSON.stringify(await (await fetch(`${server.url}/asyncapi.json`)).json());
});

after(async () => server?.stop());

/** The lines of the page's sources that have errors with the module of this document. */
function broken(document) {
  const module = execFileSync(binary("WIRELARK_BIN", "wirelark"), ["generate", "ts", "--from", "-"], { input: document, encoding: "utf8" });
  const { config } = ts.readConfigFile(`${folder}tsconfig.json`, ts.sys.readFile);
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, version) =>
    name.endsWith("/src/game.ts") ? ts.createSourceFile(name, module, version, true) : getSourceFile(name, version);
  return ts.getPreEmitDiagnostics(ts.createProgram(fileNames, options, host)).map(({ file, start }) => {
    const { line } = ts.getLineAndCharacterOfPosition(file, start);
    return readFileSync(file.fileName, "utf8").split("\n")[line].trim();
  });
}

/** What an edit of the contract does to its document, and in which lines of the page that is an error. */
const EDITS = [
  ["no edit", (text) => text, []],
  ["an argument with another name", (text) => text.replaceAll('"cell":{', '"at":{').replaceAll('["cell"]', '["at"]'), [/place\.call\(\{ cell \}\)/]],
  ["a call with another name", (text) => text.replaceAll('"title":"again"', '"title":"anew"'), [/useCall\(game, "again"\)/, /again\.call\(\)/]],
  ["a push with another name", (text) => text.replaceAll('"title":"peopleChanged"', '"title":"people"'), [/usePush\(game, "peopleChanged"/]],
  ["a field with another name", (text) => text.replaceAll('"watching"', '"lookingOn"'), [/people\?\.watching/]],
];

for (const [name, edit, expected] of EDITS) {
  test(name, () => {
    const edited = edit(contract);
    assert.equal(edited === contract, expected.length === 0, "the document has not changed");
    const lines = broken(edited);
    for (const line of lines) assert.ok(expected.some((pattern) => pattern.test(line)), `this line has nothing to do with it: ${line}`);
    for (const pattern of expected) assert.ok(lines.some((line) => pattern.test(line)), `no error in a line with ${pattern}: ${lines}`);
  });
}
