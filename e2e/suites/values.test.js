// What other people's encoders write, and what their decoders make of our answers: every value that JavaScript and
// Rust see differently, in each format of contracts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as msgpack from "@msgpack/msgpack";
import { Packr, pack, unpack } from "msgpackr";
import { startConformance } from "../support/server.js";
import { connect } from "../support/socket.js";

let server;

before(async () => (server = await startConformance()));
after(async () => server?.stop());

/** Each writes frames, and reads them. The last two differ in what they write for the same value. */
const CODECS = {
  JSON: { wire: "json", encode: JSON.stringify, decode: JSON.parse },
  msgpackr: { wire: "msgpack", encode: pack, decode: unpack },
  "@msgpack/msgpack": {
    wire: "msgpack",
    encode: (frame) => Buffer.from(msgpack.encode(frame, { useBigInt64: true })),
    decode: msgpack.decode,
  },
};

/** A client of a contract that checks what every answer has in common. */
class Caller {
  calls = 0;

  static async connect(path, codec) {
    const caller = new Caller();
    caller.codec = codec;
    caller.socket = await connect(`ws://${server.host}${path}?wire=${codec.wire}`);
    return caller;
  }

  request(rpc, body) {
    this.calls += 1;
    return { socka: "clientRequest", v: 1, id: `${rpc}-${this.calls}`, rpc, body };
  }

  /** The answer to a call: `{ body }`, or `{ error, .. }`. */
  async call(rpc, body) {
    const request = this.request(rpc, body);
    return this.exchange(this.codec.encode(request), request);
  }

  /** The answer to a request that was encoded already. */
  async exchange(frame, request) {
    this.socket.send(frame);
    this.answer = await this.socket.next();
    assert.equal(typeof this.answer, this.codec.wire === "json" ? "string" : "object", "a frame of the other format");
    const { socka, v, id, rpc, ...rest } = this.codec.decode(this.answer);
    const kind = "error" in rest ? "serverError" : "serverResponse";
    assert.deepEqual({ socka, v, id, rpc }, { socka: kind, v: 1, id: request.id, rpc: request.rpc });
    return rest;
  }

  /** Sends what is not answered; `lives` tells. */
  ignored(frame) {
    this.socket.send(frame);
  }

  /** Nothing was answered that has not been looked at, and calls still are. */
  async lives() {
    const [rpc, body, expected] = this.socket.url.includes("/rpc")
      ? ["echo", { text: "still here ü" }, { text: "still here ü" }]
      : ["any", { value: ["still here ü"] }, ["still here ü"]];
    assert.deepEqual(await this.call(rpc, body), { body: expected });
  }

  async close() {
    this.socket.close(1000);
    assert.equal((await this.socket.ended).code, 1000);
  }
}

/** One test for each codec, on a connection that must answer calls after all of it. */
function each(name, path, check, codecs = Object.keys(CODECS)) {
  for (const codec of codecs) {
    test(`${name}: ${codec}`, async () => {
      const caller = await Caller.connect(path, CODECS[codec]);
      await check(caller, codec);
      await caller.lives();
      await caller.close();
    });
  }
}

const MESSAGEPACK = ["msgpackr", "@msgpack/msgpack"];
const SAFE = Number.MAX_SAFE_INTEGER;

each("numbers come back as they were", "/rpc", async (caller) => {
  const now = Date.now();
  for (const number of [0, 1, -1, 127, 128, -33, 65_536, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, now, SAFE, -SAFE, 0.1, -2.5, 1e21, 5e-324, Number.MAX_VALUE]) {
    assert.deepEqual(await caller.call("add", { a: number, b: 0 }), { body: { sum: number } });
  }
  // There is one zero.
  const { body } = await caller.call("add", { a: -0, b: -0 });
  assert.ok(Object.is(body.sum, 0));
});

each("an integer beyond 2^53 - 1 is an error or a text, and never another integer", "/values", async (caller, codec) => {
  assert.deepEqual(await caller.call("integer", { value: SAFE }), { body: SAFE });
  assert.deepEqual(await caller.call("big", { value: "18446744073709551615" }), { body: "18446744073709551615" });
  assert.deepEqual(await caller.call("big", { value: 5 }), {
    error: "invalid type: integer `5`, expected a string with a decimal integer in range",
  });
  const unwritable = async (value) => {
    const { error, code, data } = await caller.call("integer", { value });
    assert.deepEqual({ error, code }, { error: "internal error", code: "INTERNAL" });
    assert.match(data.reference, /^[0-9a-f-]{36}$/);
    // The reference is in the log, beside what is wrong with the server. It comes through another pipe.
    const told = () => server.errors().split("\n").find((line) => line.includes(data.reference));
    while (!told()) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.match(told(), new RegExp(`the integer ${value} is beyond .*make it a BigInt`));
  };
  if (codec === "JSON") return unwritable(2 ** 53);
  // As a number it is a float, which may have been rounded already; as a BigInt it is an integer.
  assert.deepEqual(await caller.call("integer", { value: 2 ** 53 }), {
    error: "invalid type: floating point `9007199254740992.0`, expected u64",
  });
  await unwritable(2n ** 53n);
  await unwritable(2n ** 64n - 1n);
});

each("a big integer in the place of a smaller one, and of a float", "/rpc", async (caller) => {
  const call = (ms) => caller.call("slow", { ms, tag: "t" });
  assert.deepEqual(await call(2n ** 64n - 1n), { error: "invalid value: integer `18446744073709551615`, expected u32" });
  assert.deepEqual(await call(-1n), { error: "invalid value: integer `-1`, expected u32" });
  assert.deepEqual(await call(2 ** 32), { error: "invalid value: integer `4294967296`, expected u32" });
  assert.deepEqual(await call(1n), { body: { tag: "t" } });
  // A float is the nearest there is.
  assert.deepEqual(await caller.call("add", { a: 2n ** 64n - 1n, b: 0 }), { body: { sum: 2 ** 64 } });
}, MESSAGEPACK);

each("NaN and the infinities", "/rpc", async (caller, codec) => {
  const overflowing = await caller.call("add", { a: Number.MAX_VALUE, b: Number.MAX_VALUE });
  if (codec === "JSON") {
    // JavaScript has written null before it comes here, and null is no number.
    for (const a of [NaN, Infinity, -Infinity]) {
      assert.deepEqual(await caller.call("add", { a, b: 0 }), { error: "invalid type: null, expected f64" });
    }
    assert.deepEqual(overflowing, { body: { sum: null } });
    return;
  }
  for (const a of [NaN, Infinity, -Infinity]) assert.deepEqual(await caller.call("add", { a, b: 0 }), { body: { sum: a } });
  assert.deepEqual(overflowing, { body: { sum: Infinity } });
});

const HALF = "\ud800";

each("half of a surrogate pair is not text", "/rpc", async (caller, codec) => {
  if (codec === "JSON") {
    const error = "a string has half of a surrogate pair, which is not text; send whole characters";
    for (const text of [HALF, `a${HALF}b`, `${"long ".repeat(50)}\udc00`]) assert.deepEqual(await caller.call("echo", { text }), { error });
  } else {
    const error = "a string is not valid UTF-8; send it as binary, or send whole characters";
    const request = caller.request("echo", { text: "?".repeat(3) });
    const frame = Buffer.from(caller.codec.encode(request));
    frame.set([0xed, 0xa0, 0x80], frame.length - 3);
    assert.deepEqual(await caller.exchange(frame, request), { error });
    // What the encoders themselves make of it: msgpackr always another character, @msgpack/msgpack in long texts.
    const replaced = (text) => ({ body: { text: text.replace(HALF, "\ufffd") } });
    const [short, long] = [`a${HALF}b`, `${"long ".repeat(50)}${HALF}`];
    assert.deepEqual(await caller.call("echo", { text: short }), codec === "msgpackr" ? replaced(short) : { error });
    assert.deepEqual(await caller.call("echo", { text: long }), replaced(long));
  }
  // Whole pairs are.
  assert.deepEqual(await caller.call("echo", { text: "\ud83e\udd89" }), { body: { text: "🦉" } });
  // Whose answer would it be?
  const nameless = { ...caller.request("echo", { text: "hi" }), id: HALF };
  if (codec !== "msgpackr") caller.ignored(caller.codec.encode(nameless));
});

/** A call whose last argument is as many arrays inside each other: its frame, and the request. */
function nested(caller, rpc, body, depth) {
  const request = caller.request(rpc, { ...body, value: null });
  const frame = caller.codec.encode(request);
  // By hand: encoders have depths of their own, at which they stop.
  if (caller.codec.wire === "json") return [frame.replace("null", `${"[".repeat(depth)}1${"]".repeat(depth)}`), request];
  assert.equal(frame.at(-1), 0xc0, "nil is not the last byte");
  return [Buffer.concat([frame.subarray(0, -1), Buffer.alloc(depth, 0x91), Buffer.from([1])]), request];
}

each("a value nests at most 127 levels, its body included", "/values", async (caller) => {
  const [deepest, request] = nested(caller, "any", {}, 126);
  let { body } = await caller.exchange(deepest, request);
  for (let level = 0; level < 126; level += 1) [body] = body;
  assert.equal(body, 1);
  // The last of them fill a message as large as the route takes.
  for (const depth of [127, 200, 30_000]) {
    const answer = await caller.exchange(...nested(caller, "any", {}, depth));
    assert.deepEqual(answer, { error: "the value is nested deeper than 127 levels; send a flatter one" }, depth);
  }
});

each("what nobody reads may nest as it likes", "/rpc", async (caller) => {
  for (const depth of [200, 30_000]) {
    assert.deepEqual(await caller.exchange(...nested(caller, "echo", { text: "hi" }, depth)), { body: { text: "hi" } });
    assert.deepEqual(await caller.exchange(...nested(caller, "unknown", {}, depth)), { error: "Unknown call: unknown" });
  }
});

for (const [name, codec] of Object.entries(CODECS)) {
  test(`200,000 levels are more than a message of the route holds: ${name}`, async () => {
    const caller = await Caller.connect("/values", codec);
    caller.ignored(nested(caller, "any", {}, 200_000)[0]);
    assert.equal((await caller.socket.ended).code, 1009);
  });
}

each("what is more or less than a frame is not answered", "/rpc", async (caller, codec) => {
  const { encode, wire } = caller.codec;
  const request = () => caller.request("echo", { text: "hi" });
  const lives = () => caller.lives();
  if (wire === "json") {
    for (const trailing of ["x", "{}", ",", "\u0000"]) {
      caller.ignored(encode(request()) + trailing);
      await lives();
    }
    // White space around a value is JSON, and a binary message is not text.
    const spaced = request();
    assert.deepEqual(await caller.exchange(` ${encode(spaced)}\n`, spaced), { body: { text: "hi" } });
    caller.ignored(encode(request()).slice(0, -1));
    await lives();
  } else {
    for (const trailing of [[0xc0], [0], [0xc1], [...encode(request())]]) {
      caller.ignored(Buffer.concat([encode(request()), Buffer.from(trailing)]));
      await lives();
    }
    for (const cut of [1, 5, 20]) {
      caller.ignored(encode(request()).subarray(0, -cut));
      await lives();
    }
    caller.ignored(JSON.stringify(request()));
    await lives();
  }
  if (codec === "msgpackr") {
    // Records, which are msgpackr's own, unless it is told otherwise.
    caller.ignored(new Packr().pack(request()));
  }
});

each("what JavaScript has and JSON has not", "/values", async (caller, codec) => {
  const call = (value) => caller.call("any", { value });
  // msgpackr says `undefined`, which is an absent key; the other one says nil.
  assert.deepEqual(await call({ there: 1, not: undefined }), {
    body: codec === "@msgpack/msgpack" ? { there: 1, not: null } : { there: 1 },
  });
  assert.deepEqual(await call(null), { body: null });
  if (codec === "JSON") return;
  assert.deepEqual(await call(new Date(0)), {
    error: "a MessagePack timestamp; send time as an RFC 3339 string, or in milliseconds",
  });
  assert.deepEqual(await call(Buffer.from([1, 2])), { error: "invalid type: byte array, expected any valid JSON value" });
  if (codec === "msgpackr") assert.deepEqual(await call(new Map([[1, 2]])), { error: "a map key must be a string" });
});

test("our frames are those that msgpackr would have written", async () => {
  const caller = await Caller.connect("/rpc", CODECS.msgpackr);
  const asWritten = () => assert.equal(pack(unpack(caller.answer)).toString("hex"), caller.answer.toString("hex"));
  for (const [rpc, body] of [
    ["echo", { text: "ü".repeat(300) }],
    ["add", { a: Date.now(), b: 0 }],
    ["add", { a: 2 ** 32, b: -1 }],
    ["add", { a: -(2 ** 31), b: -1 }],
    ["add", { a: 0.1, b: 0.2 }],
    ["add", { a: NaN, b: 0 }],
    ["fail", {}],
    ["list", {}],
    ["slow", { ms: 0, tag: "" }],
    ["emit", { ticks: 0 }],
    ["missing", {}],
  ]) {
    const request = caller.request(rpc, body);
    caller.socket.send(pack(request));
    for (let id; id !== request.id; ) {
      caller.answer = await caller.socket.next(); // or a push
      ({ id } = unpack(caller.answer));
      asWritten();
      // Objects have a length of two bytes, however few keys there are.
      assert.deepEqual([...caller.answer.subarray(0, 2)], [0xde, 0x00]);
    }
  }
  await caller.lives();
  await caller.close();
});
