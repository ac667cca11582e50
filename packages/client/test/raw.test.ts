// Raw sockets, over sockets that do what the test says.

import { expect, expectTypeOf, test, vi } from "vitest";
import { backoff, openSocket, type RawOptions, RawSocket, type RawState, type Route } from "../src/raw.js";
import { useSocket } from "../src/react.js";
import { fakeWebSocket } from "../src/testing.js";
import { virtualTime } from "./virtual-time.js";

virtualTime();

function fixture(options: Partial<RawOptions> = {}) {
  const fake = fakeWebSocket();
  const heard: string[] = [];
  let given: RawOptions = {
    url: "ws://host/raw",
    webSocket: fake.webSocket,
    onOpen: () => heard.push("open"),
    onMessage: (message) => heard.push(`message ${message}`),
    onClose: ({ code, by }) => heard.push(`close ${code} by ${by}`),
    onError: ({ message }) => heard.push(`error ${message}`),
    ...options,
  };
  const socket = openSocket(given);
  const update = (changes: Partial<RawOptions>) => {
    given = { ...given, ...changes };
    socket.update(given);
  };
  const states: RawState[] = [];
  socket.subscribe(() => states.push(socket.state));
  return { fake, socket, update, heard, states, takeHeard: () => heard.splice(0) };
}

test("messages come and go, in order, as text, bytes and JSON", async () => {
  const { fake, socket, heard, states } = fixture({ protocols: ["echo"] });
  expect(socket.state).toEqual({
    status: "connecting",
    lastMessage: undefined,
    error: undefined,
    closed: undefined,
  });
  expect(socket.send("early")).toBe(true);
  expect(socket.send({ op: "early" })).toBe(true);
  const server = await fake.next();
  expect([server.url, server.protocols]).toEqual(["ws://host/raw", ["echo"]]);
  server.open();
  socket.send(new Uint8Array([0, 1, 2, 3]).subarray(1, 3));
  socket.send(new Uint8Array([4]).buffer);
  socket.send([5]);
  expect(server.sent).toEqual(["early", '{"op":"early"}', Uint8Array.of(1, 2), Uint8Array.of(4), "[5]"]);
  server.receive("hello");
  server.receive(Uint8Array.of(7, 8).buffer);
  expect(socket.state.lastMessage).toEqual(Uint8Array.of(7, 8));
  server.end(1000, "done");
  expect(heard).toEqual(["open", "message hello", "message 7,8", "close 1000 by server"]);
  expect(socket.state).toMatchObject({
    status: "closed",
    error: undefined,
    closed: { code: 1000, reason: "done" },
  });
  expect(socket.state.lastMessage).toEqual(Uint8Array.of(7, 8));
  expect(states.map(({ status }) => status)).toEqual(["open", "open", "open", "closed"]);
  expect(socket.send("late")).toBe(false);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(fake.sockets).toHaveLength(1);
});

test("a refused upgrade ends in closed and an error", async () => {
  const { fake, socket, heard } = fixture();
  socket.send("never");
  (await fake.next()).fail("403");
  expect(socket.state).toMatchObject({ status: "closed", error: { name: "SocketError", message: "403" } });
  expect(heard).toEqual(["error 403", "close 1006 by network"]);
  // What was sent to it is not sent to another.
  socket.open();
  socket.open();
  const second = await fake.next();
  second.open();
  expect(second.sent).toEqual([]);
  expect(socket.state).toMatchObject({ status: "open", error: undefined });
  socket.close();
});

test("what cannot be connected at all is an error too, not a throw", async () => {
  for (const [options, text] of [
    [{ url: "/relative" }, "/relative is no WebSocket's address"],
    [{ webSocket: undefined }, "there is no global WebSocket"],
  ] as const) {
    vi.stubGlobal("WebSocket", undefined);
    const { socket } = fixture(options);
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.state).toMatchObject({
      status: "closed",
      error: { message: expect.stringContaining(text) },
    });
  }
  const { socket, fake } = fixture({ connectTimeout: 300 });
  await vi.advanceTimersByTimeAsync(300);
  expect(socket.state.error?.message).toBe("the connection was not made in time");
  expect(fake.sockets[0]?.closedWith).toBeDefined();
});

test("close is the end until it is opened again", async () => {
  const { fake, socket, takeHeard } = fixture({ reconnect: backoff({ jitter: 0 }) });
  const first = await fake.next();
  first.open();
  socket.close(4000, "bye");
  socket.close();
  expect(first.closedWith).toEqual({ code: 4000, reason: "bye" });
  first.receive("too late");
  await vi.advanceTimersByTimeAsync(100_000);
  expect(takeHeard()).toEqual(["open", "close 4000 by client"]);
  expect(fake.sockets).toHaveLength(1);
  socket.open();
  (await fake.next()).open();
  expect(takeHeard()).toEqual(["open"]);
  socket.stop();
  expect([socket.state.status, takeHeard()]).toEqual(["closed", []]);
});

test("another key is another socket: its last message stays, its queue and error do not", async () => {
  const { fake, socket, update, takeHeard } = fixture({
    url: (key) => `ws://host/raw?room=${key}`,
    key: "a",
  });
  const first = await fake.next();
  first.open();
  first.receive("from a");
  update({ key: "b" });
  expect(first.closedWith).toEqual({ code: 1000, reason: "" });
  expect(socket.state).toMatchObject({ status: "connecting", lastMessage: "from a", error: undefined });
  socket.send("for b only");
  update({ key: "c" });
  const third = await fake.next();
  third.open();
  expect([third.url, third.sent]).toEqual(["ws://host/raw?room=c", []]);
  first.receive("late from a");
  expect(socket.state.lastMessage).toBe("from a");
  third.receive("from c");
  expect(socket.state.lastMessage).toBe("from c");
  // The same again is the same socket, with other callbacks.
  let other = "";
  update({ key: "c", onMessage: (message) => (other += message) });
  third.receive("again");
  expect(other).toBe("again");
  update({ key: null });
  expect([socket.state.status, socket.send("nobody")]).toEqual(["closed", false]);
  socket.open();
  expect(fake.sockets).toHaveLength(2);
  expect(takeHeard()).toEqual(["open", "message from a", "open", "message from c"]);
});

test("a route is written once, and says what it takes", async () => {
  const terminal: Route<string | { resize: [number, number] }> = {
    url: (worker) => `ws://host/terminal?worker=${encodeURIComponent(worker)}`,
    protocols: ["terminal"],
  };
  const fake = fakeWebSocket();
  const socket = openSocket({ ...terminal, key: "a b", webSocket: fake.webSocket });
  expectTypeOf(socket.send).parameter(0).toEqualTypeOf<string | { resize: [number, number] }>();
  // @ts-expect-error: it takes nothing like it
  const wrong = () => socket.send({ resize: "large" });
  const used = () => useSocket({ ...terminal, key: "a" }).send;
  expectTypeOf(used).returns.parameter(0).toEqualTypeOf<string | { resize: [number, number] }>();
  expect([wrong, used]).toHaveLength(2);
  const first = await fake.next();
  expect([first.url, first.protocols]).toEqual(["ws://host/terminal?worker=a%20b", ["terminal"]]);
  first.open();
  socket.send({ resize: [80, 24] });
  expect(first.sent).toEqual(['{"resize":[80,24]}']);
  socket.close();
});

test("enabled opens and closes", async () => {
  const { fake, socket, update } = fixture({ enabled: false });
  socket.open();
  await Promise.resolve();
  expect([socket.state.status, fake.sockets.length]).toEqual(["closed", 0]);
  update({ enabled: true });
  expect(socket.state.status).toBe("connecting");
  const first = await fake.next();
  first.fail();
  expect(socket.state.error).toBeDefined();
  update({ enabled: false });
  update({ enabled: true });
  expect(socket.state.error).toBeUndefined();
  (await fake.next()).open();
  expect(socket.state.status).toBe("open");
  update({ enabled: false });
  expect(socket.state.status).toBe("closed");
});

test("before it is started it queues", async () => {
  const fake = fakeWebSocket();
  const socket = new RawSocket({ url: "ws://host/raw?1", webSocket: fake.webSocket });
  socket.send("for nobody");
  socket.update({ url: "ws://host/raw?2", webSocket: fake.webSocket });
  socket.send("early");
  socket.open();
  await Promise.resolve();
  expect([socket.state.status, fake.sockets.length]).toEqual(["connecting", 0]);
  socket.start();
  socket.start();
  const first = await fake.next();
  first.open();
  expect([first.url, first.sent, fake.sockets.length]).toEqual(["ws://host/raw?2", ["early"], 1]);
  socket.stop();
});

test("what waits is bounded, while connecting and after", async () => {
  const { fake, socket } = fixture({ outboxBytes: 10 });
  expect([socket.send("12345"), socket.send("123456"), socket.send("12345")]).toEqual([true, false, true]);
  const server = await fake.next();
  server.open();
  server.bufferedAmount = 8;
  expect([socket.send("123"), socket.send("12")]).toEqual([false, true]);
  server.readyState = 2;
  expect(socket.send("")).toBe(false);
  socket.close();
});

test("reconnects if it is asked to, and keeps what waits for that", async () => {
  const { fake, socket, takeHeard } = fixture({ reconnect: backoff({ jitter: 0 }) });
  const first = await fake.next();
  first.open();
  first.end(1012);
  expect(socket.state.status).toBe("connecting");
  socket.send("later");
  await vi.advanceTimersByTimeAsync(1000);
  (await fake.next()).fail();
  await vi.advanceTimersByTimeAsync(1999);
  expect(fake.sockets).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(1);
  const third = await fake.next();
  third.open();
  expect(third.sent).toEqual(["later"]);
  third.end(4401);
  expect(socket.state).toMatchObject({ status: "closed", closed: { action: "signIn" } });
  expect(takeHeard()).toEqual([
    "open",
    "close 1012 by server",
    "error the connection broke",
    "close 1006 by network",
    "open",
    "close 4401 by server",
  ]);
  expect(() => backoff({ jitter: 2 })).toThrow("`jitter`");

  const resting = fixture({ reconnect: backoff({ jitter: 0 }) });
  (await resting.fake.next()).end();
  resting.socket.close();
  await vi.advanceTimersByTimeAsync(100_000);
  expect(resting.fake.sockets).toHaveLength(1);
});

test("callbacks that throw, and sockets that do, harm nothing else", async () => {
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  const throws = () => {
    throw new Error("callback");
  };
  const rejects = async () => throws();
  const { fake, socket } = fixture({ onOpen: throws, onMessage: rejects, onClose: throws, onError: throws });
  const server = await fake.next();
  server.open();
  server.receive("a");
  server.send = () => {
    throw new Error("broken");
  };
  socket.send("b");
  expect(socket.state).toMatchObject({ status: "closed", lastMessage: "a", error: { message: "broken" } });
  await vi.advanceTimersByTimeAsync(0);
  expect(logged.mock.calls).toEqual(
    Array(4).fill(["wirelark: a callback of a raw socket threw", new Error("callback")]),
  );

  const early = fixture();
  early.socket.send("queued");
  const other = await early.fake.next();
  other.send = server.send;
  other.open();
  expect(early.socket.state).toMatchObject({ status: "closed", error: { message: "broken" } });
  expect(early.heard).toEqual(["error broken", "close 1006 by network"]);
});
