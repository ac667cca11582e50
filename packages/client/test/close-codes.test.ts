// The table of close codes is the server's, as the book prints it.

import { readFileSync } from "node:fs";
import { CloseCode, closeAction } from "@wirelark/client";
import { expect, test } from "vitest";

const ACTIONS: Record<string, string> = {
  reconnect: "reconnect",
  "reconnect after a delay": "reconnect",
  stop: "stop",
  "sign in, then reconnect": "signIn",
  "do nothing": "none",
};

test("the codes, their names and what to do about them are those of the book", () => {
  const page = readFileSync(new URL("../../../docs/src/close-codes.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| (\d+) \| `(\w+)` \|.*\| ([^|]+) \|$/gm)].map(
    ([, code, name, action]) => ({
      code: Number(code),
      name: name?.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      action: ACTIONS[action ?? ""],
    }),
  );
  expect(rows).toHaveLength(25);
  const ours = Object.entries(CloseCode).map(([name, code]) => ({ code, name, action: closeAction(code) }));
  expect(ours).toEqual(rows);
  expect([0, 1004, 2999, 3000, 4000, 4402].map(closeAction)).toEqual(Array(6).fill("none"));
});
