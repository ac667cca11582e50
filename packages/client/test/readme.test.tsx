// @vitest-environment happy-dom
// The README's examples: compiled, and run as they stand.

import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";
import * as client from "@wirelark/client";
import { act } from "react";
import * as jsx from "react/jsx-runtime";
import { createRoot } from "react-dom/client";
import ts from "typescript";
import { afterEach, expect, test, vi } from "vitest";
import * as react from "../src/react.js";
import { shared } from "../src/share.js";
import { fakeWebSocket } from "../src/testing.js";

const readme = readFileSync(new URL("../README.md", `file://${import.meta.dirname}/`), "utf8");
const block = (language: string, nth = 1) =>
  readme.split(`\`\`\`${language}\n`)[nth]?.split("\n```")[0] ?? "";
const [first, second, third, fourth] = [block("ts"), block("tsx"), block("ts", 2), block("tsx", 2)];
/** What the fourth takes for granted. */
const generated = 'import { lobby } from "./generated/conformance.js";';

afterEach(() => void vi.unstubAllGlobals());

test("they have no errors of types", () => {
  const [path, folder] = [`${import.meta.dirname}/readme-example.tsx`, `${import.meta.dirname}/..`];
  const { config } = ts.readConfigFile(`${folder}/tsconfig.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
  const paths = {
    ...options.paths,
    "@wirelark/client/react": [`${folder}/src/react.ts`],
    "@wirelark/client/share": [`${folder}/src/share.ts`],
  };
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists } = host;
  host.readFile = (name) =>
    name === path
      ? `${[first, second, third, generated, fourth].join("\n")}\nexport { page, People };\n`
      : readFile(name);
  host.fileExists = (name) => name === path || fileExists(name);
  host.getSourceFile = (name, version) => {
    const text = host.readFile(name);
    return text === undefined ? undefined : ts.createSourceFile(name, text, version, true);
  };
  const program = ts.createProgram([path], { ...options, paths }, host);
  const found = ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "));
  expect(found).toEqual([]);
}, 60_000);

/** Runs it as the body of an async function, which answers with `result`. */
function run(code: string, globals: object, result = ""): Promise<unknown> {
  const body = code.replace(/^import .*$/gm, "");
  const { outputText } = ts.transpileModule(`(async () => { ${body}; return ${result || "undefined"}; })()`, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ES2022,
      jsx: ts.JsxEmit.React,
      jsxFactory: "jsx",
    },
  });
  return runInContext(outputText, createContext(globals));
}

test("the first says what it should", async () => {
  const fake = fakeWebSocket();
  vi.stubGlobal("WebSocket", fake.webSocket);
  const said: string[] = [];
  const example = run(first, { ...client, console: { log: (text: string) => said.push(text) } });
  const socket = await fake.next();
  expect(socket.url).toBe("ws://127.0.0.1:3000/chat/lobby");
  socket.open();
  expect(socket.requests.map(({ rpc }) => rpc)).toEqual(["typing", "post"]);
  socket.push("posted", { message: { text: "hello" } });
  socket.answer("post", { text: "hello" });
  await example;
  expect(said).toEqual(["hello", "posted hello"]);
});

test("the third connects, with or without a worker", async () => {
  const fake = fakeWebSocket();
  vi.stubGlobal("WebSocket", fake.webSocket);
  vi.stubGlobal("location", { href: "https://host/page" });
  const contract = first.slice(first.indexOf("const chat"), first.indexOf("const session"));
  await run(`${contract}\n${third.replace("import.meta.url", '""')}`, { ...client, shared });
  expect((await fake.next()).url).toBe("wss://host/chat/lobby");
});

test("the second renders, and calls", async () => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  const fake = fakeWebSocket();
  vi.stubGlobal("WebSocket", fake.webSocket);
  const contract = first.slice(first.indexOf("const chat"), first.indexOf("const session"));
  const element = (type: never, props: object | null, ...children: unknown[]) =>
    jsx.jsx(type, { ...props, children: children.length > 1 ? children : children[0] });
  const globals = { ...client, ...react, jsx: element, console };
  const page = (await run(`${contract}\n${second}`, globals, "{ page }")) as { page: never };
  document.body.innerHTML = "<main></main>";
  const root = createRoot(document.querySelector("main") as HTMLElement);
  await act(async () => root.render(page.page));
  const socket = fake.sockets[0];
  await act(async () => socket?.open());
  await act(async () => document.querySelector("button")?.click());
  expect(document.querySelector("button")?.disabled).toBe(true);
  await act(async () => socket?.refuse("post", "say something"));
  expect(document.body.textContent).toBe("say something");
  await act(async () => root.unmount());
});
