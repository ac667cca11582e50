// MessagePack as servers of ours and of the original write it, and as they can read it.

import { connect } from "@wirelark/client";
import { expect, test } from "vitest";
import { msgpack } from "../src/msgpack.js";
import { fakeWebSocket } from "../src/testing.js";
import { chat, recorder, rejection } from "./chat.js";

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex")).buffer;
const hex = (data: unknown) => Buffer.from(data as Uint8Array).toString("hex");

test("reads what servers write: undefined, wide maps, numbers beyond 32 bits, bytes", () => {
  for (const [frame, value] of [
    ["d40000", undefined],
    ["de0001a178d40000", { x: undefined }],
    ["df00000001a17801", { x: 1 }],
    ["cb4278bcfe56800000", 1_700_000_000_000],
    ["cf0000018bcfe56800", 1_700_000_000_000],
    ["d3ffffffffffffffff", -1],
    ["c403010203", Uint8Array.of(1, 2, 3)],
  ] as const) {
    expect(msgpack.decode(bytes(frame)), frame).toEqual(value);
  }
  const inside = new Uint8Array(bytes("ffffa178ffff"));
  expect(msgpack.decode(inside.subarray(2, 4))).toBe("x");
});

test("refuses what is no frame, and takes the next one", () => {
  for (const frame of ["", "a2", "0102", "c1", "de0002a17801", "dfffffffff", "ddffffffff", "9".repeat(200)]) {
    expect(() => msgpack.decode(bytes(frame)), frame).toThrow(Error);
  }
  expect(() => msgpack.decode("text")).toThrow("socka: expected ArrayBuffer msgpack frame");
  expect(msgpack.decode(bytes("01"))).toBe(1);
});

test("a prototype is not to be had", () => {
  // {"__proto__": {"polluted": 1}}
  expect(() => msgpack.decode(bytes("81a95f5f70726f746f5f5f81a8706f6c6c7574656401"))).toThrow("__proto__");
});

test("writes what servers read: absent is absent, as in JSON", () => {
  expect(hex(msgpack.encode({ a: undefined, b: null, c: 3 }))).toBe("82a162c0a16303");
  expect(() => msgpack.encode({ n: 1n })).toThrow();
  let deep: object = {};
  for (let level = 0; level < 200; level += 1) deep = { deep };
  expect(() => msgpack.encode(deep)).toThrow();
});

test("a session speaks it, and says so", async () => {
  const fake = fakeWebSocket(msgpack);
  const record = recorder();
  const url = "ws://host/chat";
  const session = connect(chat, { url, webSocket: fake.webSocket, format: msgpack, ...record.options });
  const say = session.call.say({ text: "hi" });
  const quiet = session.call.quiet({ on: true });
  const tick = session.waitFor("tick");
  const socket = await fake.next();
  expect(socket.protocols[0]).toBe("wirelark.v1.msgpack");
  socket.open();
  expect(socket.requests).toMatchObject([{ body: { text: "hi" } }, { body: { on: true } }]);
  socket.answer("say", { text: "hi!" });
  socket.answer("quiet");
  socket.push("tick", 7);
  expect([await say, await quiet, await tick]).toEqual([{ text: "hi!" }, undefined, 7]);
  socket.receive('{"socka":"serverEvent","v":1,"event":"tick"}');
  socket.receive(bytes("c1ff00"));
  expect(record.takeReports().map((text) => text.split(":")[0])).toEqual([
    "malformed undefined",
    "malformed undefined",
  ]);
  const cyclic: { text: string; self?: unknown } = { text: "a" };
  cyclic.self = cyclic;
  expect((await rejection(session.call.say(cyclic))).name).toBe("EncodeError");
  await session.close();
});
