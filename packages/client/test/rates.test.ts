// Calls of a server that says how often it may be asked.

import { AbortError, ClosedError, connect, OptionError, ServerError } from "@wirelark/client";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { type PaceOptions, paced, RateLimitedError } from "../src/rates.js";
import { fakeWebSocket } from "../src/testing.js";
import { chat, rejection } from "./chat.js";
import { program, type Server, startServer } from "./server.js";
import { virtualTime } from "./virtual-time.js";

describe("at the server's pace", () => {
  virtualTime();

  async function fixture(options?: PaceOptions) {
    const fake = fakeWebSocket();
    const session = connect(chat, { url: "ws://host/chat", webSocket: fake.webSocket });
    const socket = await fake.next();
    socket.open();
    const refuse = (ms: unknown) =>
      socket.refuse("say", "too often", { code: "RATE_LIMITED", data: { retry_after_ms: ms } });
    const said = () => socket.requests.filter(({ rpc }) => rpc === "say").length;
    const flush = () => vi.advanceTimersByTimeAsync(0);
    return { session, socket, refuse, said, flush, call: paced(session, options) };
  }

  test("a call that came too often says when to come again, and those of its name wait", async () => {
    const { session, socket, refuse, said, flush, call } = await fixture();
    const first = rejection(call.say({ text: "a" }));
    await flush();
    refuse(500);
    const error = (await first) as RateLimitedError;
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ name: "RateLimitedError", code: "RATE_LIMITED", retryAfterMs: 500 });
    const held = call.say({ text: "b" });
    const other = call.quiet();
    await flush();
    socket.answer("quiet");
    await other;
    await vi.advanceTimersByTimeAsync(499);
    expect(said()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(said()).toBe(2);
    socket.answer("say", { text: "b" });
    expect(await held).toEqual({ text: "b" });
    await session.close();
  });

  test("it is made again as often as it may, and no oftener", async () => {
    const { session, socket, refuse, said, flush, call } = await fixture({ retries: 1 });
    const again = call.say({ text: "a" });
    await flush();
    refuse(100);
    await vi.advanceTimersByTimeAsync(100);
    expect(said()).toBe(2);
    socket.answer("say", { text: "a" });
    expect(await again).toEqual({ text: "a" });
    const twice = rejection(call.say({ text: "b" }));
    await flush();
    refuse(100);
    await vi.advanceTimersByTimeAsync(100);
    refuse(200);
    expect(await twice).toMatchObject({ retryAfterMs: 200 });
    expect(said()).toBe(4);
    await session.close();
  });

  test("nobody waits for longer than a call may take", async () => {
    const { session, refuse, said, flush, call } = await fixture({ retries: 5, callTimeout: 2000 });
    const first = rejection(call.say({ text: "a" }));
    await flush();
    refuse(3000);
    expect(await first).toMatchObject({ retryAfterMs: 3000 });
    await vi.advanceTimersByTimeAsync(500);
    expect(await rejection(call.say({ text: "b" }))).toMatchObject({ retryAfterMs: 2500 });
    const patient = rejection(call.say({ text: "c" }, { timeout: 2600 }));
    await vi.advanceTimersByTimeAsync(2500);
    expect(said()).toBe(2);
    await vi.advanceTimersByTimeAsync(100);
    expect(await patient).toMatchObject({ name: "TimeoutError" });
    await session.close();
  });

  test("a call that waits ends with its signal, and with its session", async () => {
    const { session, refuse, said, flush, call } = await fixture();
    const first = rejection(call.say({ text: "a" }));
    await flush();
    refuse(5000);
    await first;
    const aborter = new AbortController();
    const aborted = rejection(call.say({ text: "b" }, { signal: aborter.signal }));
    const closed = ["c", "d"].map((text) => rejection(call.say({ text })));
    await flush();
    aborter.abort();
    expect(await aborted).toBeInstanceOf(AbortError);
    await session.close();
    for (const error of await Promise.all(closed)) expect(error).toBeInstanceOf(ClosedError);
    expect(said()).toBe(1);
  });

  test("those that wait all get through where the server allows one at a time", async () => {
    const { session, socket, call } = await fixture();
    // One each second, as the server does it.
    let next = 0;
    const send = socket.send.bind(socket);
    vi.spyOn(socket, "send").mockImplementation((data) => {
      send(data);
      const request = socket.request("say");
      const rest = next - performance.now();
      if (rest <= 0) next = performance.now() + 1000;
      const refusal = { code: "RATE_LIMITED", data: { retry_after_ms: rest } };
      queueMicrotask(() =>
        rest > 0 ? socket.refuse(request, "too often", refusal) : socket.answer(request, request.body),
      );
    });
    await call.say({ text: "a" });
    await vi.advanceTimersByTimeAsync(700);
    expect(await rejection(call.say({ text: "b" }))).toMatchObject({ retryAfterMs: 300 });
    const through: string[] = [];
    const held = ["c", "d", "e"].map(async (text) => through.push((await call.say({ text })).text));
    for (const [ms, expected] of [
      [299, ""],
      [1, "c"],
      [999, "c"],
      [1, "cd"],
      [1000, "cde"],
    ] as const) {
      await vi.advanceTimersByTimeAsync(ms);
      expect(through.join("")).toBe(expected);
    }
    await Promise.all(held);
    // Each but the first of them was refused once, because the one before it had gone.
    expect(socket.requests.map(({ body }) => (body as { text: string }).text).join("")).toBe("abcddee");
    await session.close();
  });

  test("those that wait go one after the other, whatever becomes of each", async () => {
    const { session, socket, refuse, said, flush, call } = await fixture();
    const first = rejection(call.say({ text: "a" }));
    await flush();
    refuse(500);
    await first;
    const aborter = new AbortController();
    const refused = rejection(call.say({ text: "b" }));
    const slow = call.say({ text: "c" });
    const aborted = rejection(call.say({ text: "d" }, { signal: aborter.signal }));
    const impatient = rejection(call.say({ text: "e" }, { timeout: 2000 }));
    const last = call.say({ text: "f" });
    await vi.advanceTimersByTimeAsync(500);
    expect(said()).toBe(2);
    // Nobody else was quicker: it came too often by itself.
    refuse(700);
    expect(await refused).toMatchObject({ retryAfterMs: 700 });
    await vi.advanceTimersByTimeAsync(699);
    expect(said()).toBe(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(said()).toBe(3);
    aborter.abort();
    expect(await aborted).toBeInstanceOf(AbortError);
    await vi.advanceTimersByTimeAsync(800);
    expect(await impatient).toMatchObject({ name: "RateLimitedError", retryAfterMs: 0 });
    // What comes meanwhile does not overtake those that wait.
    const late = call.say({ text: "g" });
    await flush();
    expect(said()).toBe(3);
    socket.answer("say", { text: "c" });
    expect(await slow).toEqual({ text: "c" });
    await flush();
    expect(said()).toBe(4);
    socket.answer("say", { text: "f" });
    expect(await last).toEqual({ text: "f" });
    await flush();
    expect(said()).toBe(5);
    socket.answer("say", { text: "g" });
    expect(await late).toEqual({ text: "g" });
    // Nobody waits any more: they go as they come.
    const both = [call.say({ text: "h" }), call.say({ text: "i" })];
    await flush();
    expect(said()).toBe(7);
    for (const request of socket.requests.slice(-2)) socket.answer(request, request.body);
    await Promise.all(both);
    await session.close();
  });

  test("a call that was to wait leaves no listener behind, not even on a session that is closed", async () => {
    const { session, refuse, flush, call } = await fixture();
    const first = rejection(call.say({ text: "a" }));
    await flush();
    refuse(500);
    await first;
    let listening = 0;
    const onStatus = session.onStatus.bind(session);
    vi.spyOn(session, "onStatus").mockImplementation((listener) => {
      listening += 1;
      const unsubscribe = onStatus(listener);
      return () => {
        listening -= 1;
        unsubscribe();
      };
    });
    const held = rejection(call.say({ text: "b" }));
    await flush();
    expect(listening).toBe(1);
    await session.close();
    expect(await held).toBeInstanceOf(ClosedError);
    expect(await rejection(call.say({ text: "c" }))).toBeInstanceOf(ClosedError);
    expect(session.onStatus).toHaveBeenCalledTimes(2);
    expect(listening).toBe(0);
  });

  test("what does not say when to come again holds nothing back", async () => {
    const { session, refuse, said, flush, call } = await fixture({ retries: 3 });
    for (const ms of [undefined, "soon", -1, Number.NaN]) {
      const refused = rejection(call.say({ text: "a" }));
      await flush();
      refuse(ms);
      expect((await refused).name).toBe("ServerError");
    }
    expect(said()).toBe(4);
    await session.close();
  });

  test("retries are a number", async () => {
    const { session } = await fixture();
    for (const retries of [-1, 0.5, Number.NaN]) {
      expect(() => paced(session, { retries })).toThrow(OptionError);
    }
    await session.close();
  });
});

describe.skipIf(program === undefined)("the conformance server", () => {
  const room = { name: "RpcRoom", calls: { limited: {}, who: {} } } as const;
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.stop());

  test("is asked five times at once, and then at its pace", async () => {
    const session = connect(room, { url: `${server.url}/rpc/pace?name=ada`, webSocket: WebSocket });
    const once = paced(session);
    for (let n = 0; n < 5; n += 1) await once.limited();
    const error = await rejection(once.limited());
    expect(error).toBeInstanceOf(RateLimitedError);
    expect((error as RateLimitedError).retryAfterMs).toBeGreaterThan(0);
    expect((error as RateLimitedError).retryAfterMs).toBeLessThanOrEqual(200);
    await once.who();
    // Held back until it may be made, it succeeds.
    await once.limited();
    const patient = paced(session, { retries: 3 });
    for (let n = 0; n < 3; n += 1) await patient.limited();
    await session.close();
  });
});
