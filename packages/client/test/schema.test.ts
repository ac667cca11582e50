// The validators generated modules are made of, one by one, and in a session.

import { connect } from "@wirelark/client";
import * as s from "@wirelark/client/schema";
import { describe, expect, expectTypeOf, test } from "vitest";
import { fakeWebSocket } from "../src/testing.js";
import { recorder, rejection } from "./chat.js";
import { rpc } from "./generated/conformance.js";
import * as types from "./generated/shapes.js";

/** What is wrong with a value, as text, or nothing. */
function wrong(schema: s.Schema<unknown>, value: unknown): string[] {
  const result = schema["~standard"].validate(value);
  if ("then" in result) throw new Error("a promise");
  if (result.issues === undefined) expect(result.value).toBe(value);
  return result.issues?.map(({ message }) => message) ?? [];
}

test.each<[string, s.Schema<unknown>, unknown[], unknown[]]>([
  ["unknown", s.unknown, [null, 1, {}, undefined], []],
  ["never", s.never, [], [null, undefined, 1]],
  ["nil", s.nil, [null], [undefined, 0, "null"]],
  ["boolean", s.boolean, [true, false], [0, "true", null]],
  ["string", s.string, ["", "a"], [1, null, ["a"]]],
  ["number", s.number, [0, -1.5], ["1", null, 1n]],
  ["int8", s.int8, [-128, 127], [-129, 128, 0.5, "1"]],
  ["uint8", s.uint8, [0, 255], [-1, 256, NaN]],
  ["int16", s.int16, [-32_768, 32_767], [-32_769, 32_768]],
  ["uint16", s.uint16, [0, 65_535], [-1, 65_536]],
  ["int32", s.int32, [-(2 ** 31), 2 ** 31 - 1], [-(2 ** 31) - 1, 2 ** 31]],
  ["uint32", s.uint32, [0, 2 ** 32 - 1], [-1, 2 ** 32]],
  ["integer", s.integer, [-(2 ** 53) + 1, 2 ** 53 - 1], [2 ** 53, -(2 ** 53), 0.5]],
  ["unsigned", s.unsigned, [0, 2 ** 53 - 1], [2 ** 53, -1]],
  ["literal", s.literal("a", 1, true, null), ["a", 1, true, null], ["b", 2, false, undefined]],
  ["nullable", s.nullable(s.string), [null, ""], [undefined, 1]],
  ["lazy", s.lazy(() => s.string), ["a"], [1]],
  ["union", s.union(s.string, s.number), ["a", 1], [null, true]],
  [
    "all",
    s.all(s.object({ a: s.string }), s.object({ b: s.string })),
    [{ a: "", b: "" }],
    [{ a: "" }, { b: "" }],
  ],
  ["array", s.array(s.uint8), [[], [1, 2]], [[1, -1], {}, "", { length: 0 }]],
  ["tuple", s.tuple(s.string, s.number), [["a", 1]], [["a"], ["a", 1, 1], [1, "a"], {}]],
  ["object", s.object({ a: s.string }), [{ a: "" }, { a: "", b: 1 }], [{}, { a: 1 }, [], null, "a"]],
  ["optional", s.object({ a: s.optional(s.string) }), [{}, { a: "" }, { a: undefined }], [{ a: null }]],
  ["closed", s.closed({ a: s.string }), [{ a: "" }], [{ a: "", b: 1 }, {}]],
  ["record", s.record(s.number), [{}, { a: 1 }], [{ a: "" }, []]],
  [
    "a record with fields",
    s.record(s.number, { a: s.string }),
    [{ a: "", b: 1 }],
    [{ a: 1 }, { a: "", b: "" }],
  ],
  ["keyed", s.keyed("^\\d+$", s.string), [{}, { "1": "" }], [{ a: "" }, { "1": 1 }]],
  ["bounded", s.bounded(s.number, { min: 1, max: 2 }), [1, 2], [0.9, 2.1, "1"]],
  ["bounded, exclusively", s.bounded(s.number, { above: 1, below: 2 }), [1.5], [1, 2]],
  ["sized text", s.sized(s.string, { min: 1, max: 2 }), ["a", "🦀🦀"], ["", "abc", 1]],
  ["sized arrays", s.sized(s.array(s.nil), { max: 1 }), [[], [null]], [[null, null]]],
  ["sized records", s.sized(s.record(s.nil), { min: 1 }), [{ a: null }], [{}]],
  ["matching", s.matching(s.string, "^[0-9]+$"), ["12"], ["", "a", 1]],
])("%s", (_, schema, right, false_) => {
  for (const value of right) expect(wrong(schema, value), JSON.stringify(value)).toEqual([]);
  for (const value of false_) expect(wrong(schema, value), String(value)).not.toEqual([]);
});

test("an issue says what is wrong, and where", () => {
  const schema = s.object({ list: s.array(s.object({ n: s.uint8 })) });
  const result = schema["~standard"].validate({ list: [{ n: 1 }, { n: 256 }, {}] });
  expect(result).toEqual({
    issues: [
      { message: "list.1.n must be an integer from 0 to 255", path: ["list", 1, "n"] },
      { message: 'list.2 must have "n"', path: ["list", 2] },
    ],
  });
});

test("of an enum, the issues are those of the variant that was meant", () => {
  expect(wrong(types.Internal, { kind: "struct", at: "x", color: "red", x: 1 })).toEqual([
    "at must be an integer from 0 to 9007199254740991",
  ]);
  expect(wrong(types.External, { Struct: { a: 1, b: null } })).toEqual(["Struct.a must be text"]);
  expect(wrong(types.External, { Other: 1 })).toEqual(["the value fits none of the types it may have"]);
});

test("there are not more issues than somebody would read", () => {
  expect(wrong(s.array(s.nil), new Array(1000).fill(1))).toHaveLength(20);
});

describe("values nobody wrote by hand", () => {
  test("may be as deep as they like", () => {
    let tree: object = { children: [] };
    for (let depth = 0; depth < 100_000; depth += 1) tree = { children: [tree] };
    expect(wrong(types.Tree, tree)).toEqual([expect.stringMatching(/is nested too deeply$/)]);
  });

  test("have only what they have themselves", () => {
    const schema = s.object({ ["__proto__"]: s.string, toString: s.optional(s.string) });
    expect(wrong(schema, {})).toEqual(['the value must have "__proto__"']);
    expect(wrong(schema, JSON.parse('{"__proto__": "a"}'))).toEqual([]);
    expect(wrong(s.record(s.string), JSON.parse('{"__proto__": 1}'))).toEqual(["__proto__ must be text"]);
    expect(wrong(s.closed({}), JSON.parse('{"__proto__": 1}'))).toEqual([
      'the value must not have "__proto__"',
    ]);
    expect(wrong(s.object({ a: s.string }), Object.create({ a: "inherited" }))).not.toEqual([]);
  });
});

test("types are those of the values", () => {
  const schema = s.object({ a: s.string, b: s.optional(s.tuple(s.number, s.literal("x", null))) });
  expectTypeOf<s.TypeOf<typeof schema>>().toEqualTypeOf<{ a: string; b?: [number, "x" | null] }>();
  expectTypeOf<s.TypeOf<typeof types.Flat>>().toEqualTypeOf<types.Flat>();
});

test("a session refuses what the server should not have sent", async () => {
  const fake = fakeWebSocket();
  const record = recorder();
  const session = connect(rpc, { url: "ws://host/rpc", webSocket: fake.webSocket, ...record.options });
  const heard: number[] = [];
  session.on("tick", ({ n }) => heard.push(n));
  const socket = await fake.next();
  socket.open();
  socket.push("tick", { n: -1 });
  socket.push("tick", { n: 7 });
  expect(heard).toEqual([7]);
  expect(record.takeReports()).toEqual(["invalidPush tick: n must be an integer from 0 to 4294967295"]);
  const call = rejection(session.call.add({ a: 1, b: 2 }));
  socket.answer("add", { sum: "3" });
  expect(await call).toMatchObject({
    name: "DecodeError",
    message: "sum must be a number",
    issues: [{ path: ["sum"] }],
  });
  await session.close();
});
