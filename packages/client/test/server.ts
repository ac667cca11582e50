// The conformance server as a process, for tests against the real thing. It runs where `CONFORMANCE_BIN` says; without
// that these tests are skipped, so that `npm test` needs nothing but Node.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export const program = process.env.CONFORMANCE_BIN;

export interface Server {
  /** `ws://ADDRESS:PORT` */
  readonly url: string;
  /** Ends it, and waits until it has ended. */
  readonly stop: (signal?: "SIGTERM" | "SIGKILL") => Promise<void>;
}

export async function startServer(): Promise<Server> {
  if (program === undefined) throw new Error("CONFORMANCE_BIN is not set");
  const child = spawn(program, ["--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  const address = await firstAddress(child);
  return {
    url: `ws://${address}`,
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null) return;
      const exit = once(child, "exit");
      child.kill(signal);
      await exit;
    },
  };
}

async function firstAddress({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("the server's output is not ours");
  for await (const line of createInterface(stdout)) {
    const address = /^listening on (.*)$/.exec(line)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error("the server ended before it listened");
}
