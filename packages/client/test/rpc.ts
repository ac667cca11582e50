// The contract of the conformance server's `/rpc`, as its page describes it.

import { unchecked } from "@wirelark/client";
import { schema } from "./chat.js";

interface Item {
  readonly id: string;
  readonly n: number;
}

const items = schema<readonly Item[]>(
  (value) =>
    Array.isArray(value) && value.every((item) => typeof item.id === "string" && typeof item.n === "number"),
  "not a list of items",
);

export const rpc = {
  name: "Rpc",
  calls: {
    echo: { input: unchecked<{ text: string }>(), output: unchecked<{ text: string }>() },
    add: { input: unchecked<{ a: number; b: number }>(), output: unchecked<{ sum: number }>() },
    fail: {},
    crash: {},
    list: { output: items },
    slow: { input: unchecked<{ ms: number; tag: string }>(), output: unchecked<{ tag: string }>() },
    emit: { input: unchecked<{ ticks: number }>() },
  },
  sends: { nudge: { input: unchecked<{ x: number }>() } },
  pushes: { itemsChanged: { body: items }, tick: { body: unchecked<{ n: number }>() } },
} as const;
