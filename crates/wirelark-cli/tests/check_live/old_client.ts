// Old clients in TypeScript: for each line that comes in, one made from a generated module uses a server of the new
// version, and one line says what went wrong.

import { createInterface } from "node:readline";
import { type Contract, connect, type Report } from "@wirelark/client";
import { WebSocket } from "ws";
// Written beside the modules that were generated.
import { modules } from "./modules.js";

interface Task {
  /** Which module has the old contract. */
  readonly module: number;
  readonly url: string;
  readonly script: Script;
}

type Script = { readonly send: readonly unknown[] } | "read" | "all";

type Wrong = (what: string, problem: unknown) => void;

// What is not given in time is not given: the server is on this machine, and answers at once.
const timeout = 500;

async function run(): Promise<void> {
  for await (const line of createInterface(process.stdin)) {
    const wrong: string[] = [];
    await use(JSON.parse(line), (what, problem) => wrong.push(`${what}: ${String(problem)}`));
    console.log(JSON.stringify(wrong));
  }
}

async function use({ module, url, script }: Task, wrong: Wrong): Promise<void> {
  const contract = Object.values(modules[module]).find((value) => "calls" in Object(value)) as Contract;
  const onReport = ({ kind, name, error }: Report) => wrong(`${kind} ${name}`, error);
  const options = { url, webSocket: WebSocket, reconnect: false, callTimeout: timeout, onReport } as const;
  const session = connect<Contract>(contract, options);
  // The names of a contract that is only known at run time.
  const call = session.call as Record<string, (input: unknown) => Promise<unknown>>;
  const attempt = (what: string, done: Promise<unknown>) => done.catch((error) => wrong(what, error));
  const pushed = (name: string) => attempt(name, session.waitFor(name as never, { timeout }));
  if (script === "read") {
    const count = Number(await attempt("count", call.count({ value: null })));
    for (let n = 0; n < count; n++) {
      await attempt(`value ${n}`, call.get({ n }));
      const told = pushed("told");
      await attempt(`push ${n}`, call.tell({ n }));
      await told;
    }
  } else if (script === "all") {
    for (const name of Object.keys(contract.calls ?? {})) {
      if (name !== "push_all") await attempt(name, call[name]({}));
    }
    for (const name of Object.keys(contract.sends ?? {})) {
      (session.send as Record<string, (input: unknown) => void>)[name]({});
    }
    const heard = Object.keys(contract.pushes ?? {}).map(pushed);
    await attempt("push_all", call.push_all({}));
    await Promise.all(heard);
  } else {
    for (const value of script.send) await attempt(JSON.stringify(value), call.put({ value }));
  }
  await session.close();
}

void run();
