// What the server says to values that fit and to values that do not, beside what the generated validators say.
//
// `judgements` is an example of the crate wirelark-cli; it runs where `JUDGEMENTS_BIN` says. `JUDGEMENTS_SEED` is for
// other values than those of every day, and to have the ones of a failure again.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import type { CallDefinition, PushDefinition, StandardSchema } from "../src/index.js";
import * as conformance from "./generated/conformance.js";
import * as types from "./generated/shapes.js";

interface Judgement {
  readonly contract: string;
  readonly name: string;
  readonly side: "input" | "output" | "push";
  readonly value: unknown;
  readonly accepted: boolean;
}

const program = process.env.JUDGEMENTS_BIN;
const EVERY_DAY = "1";
const seed = process.env.JUDGEMENTS_SEED ?? EVERY_DAY;
const contracts = [types.shapes, conformance.lobby, conformance.rpc, conformance.rpcRoom, conformance.values];

function validatorOf({ contract, name, side }: Judgement): StandardSchema | undefined {
  const of = contracts.find((one) => one.name === contract);
  const { calls, pushes } = of as {
    calls: Record<string, CallDefinition>;
    pushes: Record<string, PushDefinition>;
  };
  return side === "push" ? pushes[name]?.body : calls[name]?.[side];
}

/** Whether there is a value in a value, itself included, and with its key, of which this holds. */
function some(value: unknown, is: (value: unknown, key: string) => boolean, key = ""): boolean {
  if (is(value, key)) return true;
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([key, inner]) => some(inner, is, key));
}

const keysOf = (value: unknown) => Object.keys((value ?? {}) as object);

const variants = [
  "Unit",
  "Newtype",
  "Tuple",
  "Struct",
  "Nested",
  "justUnit",
  "newtype",
  "struct",
  "red",
  "green",
];

/** Where the two differ, with good reason; the book has the same list. Each must be met, so that none outlives its reason. */
const known: Record<string, (judgement: Judgement) => boolean> = {
  "a schema does not say which keys a map of characters or of booleans has": ({ accepted, value }) =>
    !accepted &&
    some(
      value,
      (map, name) =>
        (name === "boolean" && keysOf(map).some((key) => key !== "true" && key !== "false")) ||
        (name === "character" && keysOf(map).some((key) => [...key].length !== 1)),
    ),
  "a schema says that the keys of a map are integers, but not how large, and zeros may come first": ({
    accepted,
    value,
  }) => !accepted && some(value, (map) => keysOf(map).some((key) => key === "300" || key === "007")),
  "serde takes an array of the fields for a struct": ({ accepted, name, value }) =>
    accepted &&
    some(
      value,
      (struct, key) =>
        Array.isArray(struct) && (key === "left_out" || (name === "tree" && /^\d+$/.test(key))),
    ),
  "serde takes the content of a variant as null if it may be null and is missing": ({ accepted, value }) =>
    accepted &&
    some(value, (variant) => {
      const { kind, value: content } = (variant ?? {}) as { kind?: unknown; value?: unknown };
      return kind === "Nested" && content === undefined;
    }),
  "serde takes the name of a variant also as the only key of an object": ({ accepted, value }) =>
    accepted &&
    some(
      value,
      (content, key) => variants.includes(key) && (content === null || keysOf(content).length === 0),
    ),
  "serde refuses content beside a variant that has none": ({ accepted, value }) =>
    !accepted &&
    some(value, (variant) => {
      const { kind, value: content } = (variant ?? {}) as { kind?: unknown; value?: unknown };
      return kind === "Unit" && content !== undefined;
    }),
  "what reads bytes from MessagePack takes text from JSON": ({ accepted, name, value }) =>
    accepted && name === "bytes" && some(value, (blob, key) => key === "blob" && typeof blob === "string"),
};

describe.skipIf(program === undefined)("generated validators", () => {
  test("judge as the server does", { timeout: 120_000 }, async () => {
    const child = spawn(program as string, ["--seed", seed], { stdio: ["ignore", "pipe", "inherit"] });
    const end = once(child, "exit");
    const differences: string[] = [];
    const met = new Set<string>();
    const counts = new Map<string, number>();
    for await (const line of createInterface(child.stdout)) {
      const judgement: Judgement = JSON.parse(line);
      const { contract, name, side, value, accepted } = judgement;
      const validator = validatorOf(judgement);
      if (validator === undefined) continue;
      const result = validator["~standard"].validate(value);
      const taken = !("then" in result) && result.issues === undefined;
      const kind = `${contract}.${name}.${side} ${accepted ? "taken" : "refused"}`;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      if (taken === accepted) continue;
      const why = Object.entries(known).find(([, applies]) => applies(judgement));
      if (why === undefined)
        differences.push(`seed ${seed}: the server ${accepted ? "takes" : "refuses"} ${line}`);
      else met.add(why[0]);
    }
    expect(await end).toEqual([0, null]);
    expect(differences).toEqual([]);
    if (seed === EVERY_DAY) expect([...met].sort()).toEqual(Object.keys(known).sort());
    // Values of both kinds for each type that can be damaged: what takes anything refuses only what is missing.
    for (const call of Object.keys(types.shapes.calls)) {
      for (const verdict of ["taken", "refused"]) {
        expect(counts.get(`Shapes.${call}.input ${verdict}`) ?? 0, `${call} ${verdict}`).toBeGreaterThan(40);
      }
    }
    expect(counts.get("Shapes.pushed.push taken")).toBeGreaterThan(40);
  });
});
