// Sessions over sockets that do what the test says.

import { getEventListeners } from "node:events";
import {
  AbortError,
  ClosedError,
  connect,
  DecodeError,
  DisconnectedError,
  FullError,
  json,
  OptionError,
  OtherVersionError,
  type SessionOptions,
  TimeoutError,
  WirelarkError,
} from "@wirelark/client";
import { describe, expect, expectTypeOf, test, vi } from "vitest";
import { FakeSocket, fakeWebSocket } from "../src/testing.js";
import { chat, recorder, rejection } from "./chat.js";
import { virtualTime } from "./virtual-time.js";

virtualTime();

function fixture(options: Partial<SessionOptions<typeof chat>> = {}) {
  const fake = fakeWebSocket();
  const record = recorder();
  const session = connect(chat, {
    url: "ws://host/chat",
    webSocket: fake.webSocket,
    ...record.options,
    ...options,
  });
  return {
    ...record,
    fake,
    session,
    /** A connection that is open. */
    async open() {
      const socket = await fake.next();
      socket.open();
      return socket;
    },
  };
}

describe("connecting", () => {
  test("offers the format, the contract's version and what else is to be offered", async () => {
    const { fake, session } = fixture({ protocols: ["bearer.abc"] });
    const socket = await fake.next();
    expect(socket.url).toBe("ws://host/chat");
    expect(socket.protocols).toEqual([
      "wirelark.v1.json",
      "wirelark.contract.Chat.0123456789abcdef",
      "bearer.abc",
    ]);
    expect(socket.binaryType).toBe("arraybuffer");
    socket.open();
    await vi.advanceTimersByTimeAsync(100_000);
    expect(session.status).toBe("open");
    await session.close();
  });

  test("offers nothing of ours to servers of socka, nor wants an agreement", async () => {
    const { open, session } = fixture({ plainSocka: true });
    const socket = await open();
    expect(socket.protocols).toEqual([]);
    expect(session.status).toBe("open");
    await session.close();
  });

  test("asks for what to offer before each attempt", async () => {
    const tokens = ["one", "two"];
    const { fake, session } = fixture({ protocols: async () => [`bearer.${tokens.shift()}`] });
    const first = await fake.next();
    first.end(1012);
    await vi.advanceTimersByTimeAsync(1000);
    const second = await fake.next();
    expect([first, second].map(({ protocols }) => protocols.at(-1))).toEqual(["bearer.one", "bearer.two"]);
    await session.close();
  });

  test("reads an address relative to the page, and http as ws", async () => {
    vi.stubGlobal("location", { href: "https://app.example.com/room/7#top" });
    for (const [url, expected] of [
      ["/chat?x=1", "wss://app.example.com/chat?x=1"],
      ["chat", "wss://app.example.com/room/chat"],
      ["http://other:8080/a#b", "ws://other:8080/a"],
      ["wss://other/a", "wss://other/a"],
    ] as const) {
      const { fake, session } = fixture({ url });
      expect((await fake.next()).url).toBe(expected);
      await session.close();
    }
  });

  test("gives up at once where another attempt would be the same", async () => {
    const refusing = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        throw new Error("mixed content");
      }
    };
    for (const [options, text] of [
      [{ url: "/chat" }, "/chat is no WebSocket's address"],
      [{ url: "ftp://host/a" }, "ftp://host/a is no WebSocket's address"],
      [{ webSocket: refusing }, "mixed content"],
      [{ webSocket: undefined }, "there is no global WebSocket"],
    ] as const) {
      vi.stubGlobal("WebSocket", undefined);
      const { session, statuses } = fixture(options);
      const call = session.call.count();
      expect((await rejection(call)).message).toContain(text);
      expect(session.closed).toMatchObject({
        code: 1006,
        by: "client",
        reason: expect.stringContaining(text),
      });
      expect(statuses).toEqual(["idle", "connecting", "closed"]);
    }
  });

  test("does not believe in a server that does not agree to the format", async () => {
    for (const protocol of ["", "wirelark.v1.msgpack", "wirelark.contract.Chat.0123456789abcdef"]) {
      const { fake, session, statuses } = fixture();
      const call = rejection(session.call.count());
      const socket = await fake.next();
      socket.open(protocol);
      expect((await call).message).toContain("the server did not agree to `wirelark.v1.json`");
      expect(statuses).toEqual(["idle", "connecting", "closed"]);
      expect(socket.closedWith).toBeDefined();
      expect(socket.sent).toEqual([]);
    }
  });

  test("takes only so long", async () => {
    const { fake, session } = fixture({ connectTimeout: 500, reconnect: false });
    const outcome = rejection(session.connect());
    const socket = await fake.next();
    await vi.advanceTimersByTimeAsync(499);
    expect(session.status).toBe("connecting");
    await vi.advanceTimersByTimeAsync(1);
    expect(await outcome).toMatchObject({ closed: { code: 1006, by: "network" } });
    expect(socket.closedWith).toBeDefined();
    expect(session.status).toBe("closed");
  });

  test("ends with the error of a refused upgrade, whatever else the socket says", async () => {
    const { fake, session, statuses } = fixture({ reconnect: false });
    const outcome = rejection(session.connect());
    const socket = await fake.next();
    socket.error("404");
    expect((await outcome).message).toBe("the connection ended by the network with 1006, 404");
    expect(socket.closedWith).toBeDefined();
    socket.end();
    expect(statuses).toEqual(["idle", "connecting", "closed"]);

    const later = fixture();
    const open = await later.open();
    open.error("of little importance");
    expect(later.session.status).toBe("open");
    open.end(1011);
    expect(later.session.closed).toMatchObject({ code: 1011, by: "server" });
    await later.session.close();
  });

  test("takes only so long, knowing what to offer included", async () => {
    const { fake, session } = fixture({ protocols: () => new Promise(() => {}), reconnect: false });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(session.status).toBe("closed");
    expect(fake.sockets).toEqual([]);
  });

  test("tries again when what to offer is not known", async () => {
    let asked = 0;
    const { session, open } = fixture({
      protocols() {
        asked += 1;
        if (asked === 1) throw new Error("offline");
        return [];
      },
    });
    const failure = await rejection(session.connect());
    expect(failure.message).toContain("what to offer is not known: offline");
    await vi.advanceTimersByTimeAsync(1000);
    await open();
    expect(session.status).toBe("open");
    await session.close();
  });

  test("waits until it is asked, or until the first call or send", async () => {
    for (const ask of [
      (session: ReturnType<typeof fixture>["session"]) => void session.connect(),
      (session: ReturnType<typeof fixture>["session"]) => void session.call.count().catch(() => {}),
      (session: ReturnType<typeof fixture>["session"]) => session.send.typing(),
    ]) {
      const { fake, session, statuses } = fixture({ autoConnect: false });
      const joined = rejection(session.waitFor("cleared"));
      await Promise.resolve();
      expect([session.status, fake.sockets]).toEqual(["idle", []]);
      ask(session);
      expect(session.status).toBe("connecting");
      (await fake.next()).open();
      expect(statuses).toEqual(["idle", "connecting", "open"]);
      await session.close();
      await joined;
    }
  });

  test("twice is one attempt", async () => {
    const { fake, session, open } = fixture();
    const outcomes = [session.connect(), session.connect()];
    await open();
    await Promise.all(outcomes);
    await session.connect();
    expect(fake.sockets).toHaveLength(1);
    await session.close();
  });

  test("with a socket that was made already", async () => {
    const connecting = new FakeSocket("ws://host/chat");
    const record = recorder();
    const options = { ...record.options, socket: connecting };
    const session = connect(chat, options);
    const count = session.call.count();
    await Promise.resolve();
    connecting.open();
    connecting.answer("count", "four");
    expect(await count).toBe(4);
    connecting.end(1012);
    expect(session.status).toBe("closed");
    const again = await rejection(session.connect());
    expect(again.message).toContain("used already");

    const ready = new FakeSocket("ws://host/chat");
    ready.open();
    const second = connect(chat, { socket: ready });
    await second.connect();
    expect(second.status).toBe("open");
    await second.close();

    const gone = new FakeSocket("ws://host/chat");
    gone.end();
    await rejection(connect(chat, { socket: gone }).connect());
  });

  test("with bad options throws, and says what to write instead", () => {
    const webSocket = fakeWebSocket().webSocket;
    const url = "ws://host/chat";
    for (const [options, text] of [
      [{}, "`url` or `socket`"],
      [{ url: [] }, "`url` or `socket`"],
      [{ url, socket: new FakeSocket(url) }, "`url` or `socket`"],
      [{ url, callTimeout: 0 }, "`callTimeout` must be more than 0"],
      [{ url, connectTimeout: Number.NaN }, "`connectTimeout`"],
      [{ url, closeTimeout: 2 ** 31 }, "2 ** 31"],
      [{ url, calls: -1 }, "`calls`"],
      [{ url, outboxMessages: 0 }, "`outboxMessages`"],
      [{ url, outboxBytes: 0 }, "`outboxBytes`"],
      [{ url, reconnect: { initial: 0 } }, "`initial`"],
      [{ url, reconnect: { max: 10 } }, "`max`"],
      [{ url, reconnect: { max: Number.POSITIVE_INFINITY } }, "`max`"],
      [{ url, reconnect: { factor: 0.5 } }, "`factor`"],
      [{ url, reconnect: { jitter: 2 } }, "`jitter`"],
      [{ url, reconnect: { maxAttempts: -1 } }, "`maxAttempts`"],
    ] as const) {
      const make = () => connect(chat, { webSocket, ...options });
      expect(make).toThrow(OptionError);
      expect(make).toThrow(text);
    }
    const name = "then";
    expect(() => connect({ name: "A", calls: { [name]: {} } }, { url, webSocket })).toThrow("`then`");
  });
});

describe("calls", () => {
  test("made early wait for the connection, in order", async () => {
    const { session, open } = fixture();
    const say = session.call.say({ text: "hi" });
    session.send.typing();
    const quiet = session.call.quiet();
    const socket = await open();
    expect(socket.requests.map(({ id }) => id)).toEqual(["say-1", "typing-2", "quiet-3"]);
    socket.answer("quiet");
    socket.answer("say", { text: "hi!" });
    expect(await say).toEqual({ text: "hi!" });
    expect(await quiet).toBeUndefined();
    await session.close();
  });

  test("are typed by the contract", async () => {
    const { session } = fixture({ autoConnect: false });
    expectTypeOf(session.call.say).toBeCallableWith({ text: "a" }, { timeout: 1 });
    expectTypeOf(session.call.say).returns.toEqualTypeOf<Promise<{ text: string }>>();
    expectTypeOf(session.call.count).returns.toEqualTypeOf<Promise<number>>();
    expectTypeOf(session.call.quiet).returns.toEqualTypeOf<Promise<void>>();
    expectTypeOf(session.call.quiet).toBeCallableWith();
    expectTypeOf(session.send.move).parameter(0).toEqualTypeOf<{ x: number }>();
    expectTypeOf(session.send.move).returns.toEqualTypeOf<void>();
    expectTypeOf(session.waitFor<"tick">).returns.toEqualTypeOf<Promise<number>>();
    // @ts-expect-error: the input is wanted
    const wrong = () => session.call.say();
    // @ts-expect-error: of another type
    const wronger = () => session.call.say({ text: 1 });
    // @ts-expect-error: there is no such call
    const missing = () => session.call.sing();
    // @ts-expect-error: nor such a push
    const unheard = () => session.on("sung", () => {});
    // @ts-expect-error: which is not what is pushed
    const misheard = () => session.on("tick", (tick: string) => tick);
    expect([wrong, wronger, missing, unheard, misheard]).toHaveLength(5);
    expectTypeOf<keyof typeof session.call>().toEqualTypeOf<"say" | "count" | "quiet">();
    expect(Object.keys(session.call)).toEqual(["say", "count", "quiet"]);
  });

  test("fail by the server's word", async () => {
    const { session, open } = fixture();
    const call = session.call.count();
    const socket = await open();
    socket.refuse("count", "nope", { code: "FORBIDDEN", data: { n: 7 } });
    expect(await rejection(call)).toMatchObject({
      name: "ServerError",
      message: "nope",
      code: "FORBIDDEN",
      data: { n: 7 },
      requestId: "count-1",
      call: "count",
    });
    await session.close();
  });

  test("fail when the answer is of another shape", async () => {
    const { session, open } = fixture();
    const call = session.call.count();
    (await open()).answer("count", 5);
    const error = await rejection(call);
    expect(error).toBeInstanceOf(DecodeError);
    expect(error).toMatchObject({ issues: [{ message: "not text" }, { message: "at all" }] });
    await session.close();
  });

  test("take only so long, sent or not", async () => {
    const { session, open, reports } = fixture({ callTimeout: 1000 });
    const unsent = rejection(session.call.count());
    const patient = session.call.count(undefined, { timeout: 5000 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await unsent).toMatchObject({ name: "TimeoutError", sent: false });
    const socket = await open();
    expect(socket.requests.map(({ id }) => id)).toEqual(["count-2"]);
    const sent = rejection(session.call.say({ text: "a" }));
    await vi.advanceTimersByTimeAsync(1000);
    expect(await sent).toMatchObject({ sent: true, message: "the answer to say did not come in time" });
    socket.answer("say", { text: "late" });
    socket.answer("count", "now");
    expect(await patient).toBe(3);
    expect(reports).toEqual([]);
    expect(await rejection(session.call.count(undefined, { timeout: 0 }))).toBeInstanceOf(OptionError);
    await session.close();
  });

  test("end when their signal is aborted, sent or not", async () => {
    const { session, open } = fixture();
    const [before, sent, unsent] = [new AbortController(), new AbortController(), new AbortController()];
    before.abort("why");
    expect(await rejection(session.call.count(undefined, before))).toMatchObject({
      name: "AbortError",
      cause: "why",
      sent: false,
    });
    const never = rejection(session.call.count(undefined, unsent));
    unsent.abort();
    expect(await never).toMatchObject({ sent: false });
    const socket = await open();
    expect(socket.sent).toEqual([]);
    const call = rejection(session.call.count(undefined, sent));
    sent.abort();
    const error = await call;
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ sent: true });
    socket.answer("count", "late");
    sent.abort();
    const kept = new AbortController();
    const [answered, tick] = [session.call.count(undefined, kept), session.waitFor("tick", kept)];
    socket.answer("count", "now");
    socket.push("tick", 1);
    expect([await answered, await tick]).toEqual([3, 1]);
    expect(getEventListeners(kept.signal, "abort")).toEqual([]);
    await session.close();
  });

  test("have no room beyond the bounds, with a connection and without", async () => {
    const { session, open } = fixture({ calls: 2, outboxMessages: 3, outboxBytes: 1000 });
    const calls = [session.call.count(), session.call.count()];
    expect(await rejection(session.call.count())).toBeInstanceOf(FullError);
    session.send.typing();
    expect(() => session.send.typing()).toThrow(FullError);
    const socket = await open();
    session.send.typing();
    socket.bufferedAmount = 990;
    expect(() => session.send.typing()).toThrow(FullError);
    socket.bufferedAmount = 0;
    session.send.typing();
    const failures = Promise.all(calls.map(rejection));
    await session.close();
    expect((await failures).every((error) => error instanceof ClosedError)).toBe(true);
  });

  test("are not given to a socket that is closing", async () => {
    const { session, fake, open } = fixture();
    const first = await open();
    first.readyState = 2; // The server's close frame is here, its event is not.
    const call = session.call.count();
    expect(first.sent).toEqual([]);
    first.end(1012);
    await vi.advanceTimersByTimeAsync(1000);
    const second = await fake.next();
    second.open();
    second.answer("count", "ok");
    expect(await call).toBe(2);
    await session.close();
  });

  test("survive a socket that throws when it is written to", async () => {
    const { session, fake, open } = fixture();
    const first = await open();
    first.send = () => {
      throw new Error("broken");
    };
    const call = await rejection(session.call.count());
    expect(call).toMatchObject({ name: "DisconnectedError", sent: true, closed: { reason: "broken" } });
    await vi.advanceTimersByTimeAsync(1000);
    (await fake.next()).open();
    expect(session.status).toBe("open");
    await session.close();
  });

  test("fail at once while there is no connection, if that is wanted", async () => {
    const { session, open, takeReports, fake } = fixture({ offline: "fail" });
    expect(await rejection(session.call.count())).toMatchObject({
      name: "DisconnectedError",
      sent: false,
      message: expect.stringContaining("there was no connection yet"),
    });
    expect(() => session.send.typing()).toThrow(DisconnectedError);
    const socket = await open();
    socket.readyState = 2;
    const queued = rejection(session.call.count());
    session.send.typing();
    socket.end(1012, "restart");
    expect(await queued).toMatchObject({ name: "DisconnectedError", sent: false, closed: { code: 1012 } });
    expect(takeReports()).toEqual(["sendLost typing: the connection ended by the server with 1012, restart"]);
    await vi.advanceTimersByTimeAsync(1000);
    (await fake.next()).open();
    await session.close();
  });

  test("write and read frames by functions of one's own", async () => {
    const { session, open } = fixture({
      format: json({
        serialize: (frame) =>
          JSON.stringify(frame, (_, value) => (typeof value === "bigint" ? `${value}` : value)),
        deserialize: (text) =>
          JSON.parse(text, (key, value) => (key === "text" ? String(value).toUpperCase() : value)),
      }),
    });
    // @ts-expect-error: the contract says it is text
    const call = session.call.say({ text: 1n });
    const socket = await open();
    expect(socket.requests[0]?.body).toEqual({ text: "1" });
    socket.answer("say", { text: "loud" });
    expect(await call).toEqual({ text: "LOUD" });
    await session.close();
  });
});

describe("sends", () => {
  test("are queued, and what the server could not do is reported", async () => {
    const { session, open, takeReports } = fixture();
    session.send.move({ x: 1 });
    const socket = await open();
    session.send.typing();
    expect(socket.requests.map(({ rpc, body }) => ({ rpc, body }))).toEqual([
      { rpc: "move", body: { x: 1 } },
      { rpc: "typing", body: {} },
    ]);
    socket.refuse("move", "a wall");
    expect(takeReports()).toEqual(["sendFailed move: a wall"]);
    await session.close();
    expect(() => session.send.typing()).toThrow(ClosedError);
  });
});

describe("pushes", () => {
  test("reach listeners given at the start and later, until they are taken away", async () => {
    const heard: string[] = [];
    const { session, open } = fixture({
      on: { said: ({ text }) => heard.push(`option ${text}`), tick: undefined },
      onGap: ({ push, missed }) => heard.push(`${missed} of ${push}`),
    });
    const socket = await open();
    const listener = ({ text }: { text: string }) => heard.push(`on ${text}`);
    const unsubscribe = session.on("said", listener);
    session.once("said", ({ text }) => heard.push(`once ${text}`));
    session.once("said", listener);
    session.off("said", () => {});
    socket.push("said", { text: "a" });
    socket.push("$gap", { push: "said", missed: 2 });
    expect(heard.splice(0)).toEqual(["option a", "on a", "once a", "on a", "2 of said"]);
    session.off("said", listener);
    socket.push("said", { text: "b" });
    expect(heard.splice(0)).toEqual(["option b"]);
    unsubscribe();
    const other = session.on("said", listener);
    other();
    socket.push("said", { text: "c" });
    expect(heard).toEqual(["option c"]);
    await session.close();
  });

  test("of another shape, and listeners that throw, harm nobody", async () => {
    const heard: unknown[] = [];
    const { session, open, takeReports } = fixture();
    session.on("said", () => {
      throw new Error("boom");
    });
    session.on("said", async () => {
      throw new Error("later");
    });
    session.on("said", (body) => heard.push(body));
    session.onGap(() => {
      throw new Error("gap");
    });
    session.onStatus(() => {
      throw new Error("status");
    });
    const socket = await open();
    socket.push("said", { text: 1 });
    socket.push("said", { text: "fine" });
    socket.push("$gap", { push: "said", missed: 1 });
    socket.receive("no frame");
    await Promise.resolve();
    expect(heard).toEqual([{ text: "fine" }]);
    expect(takeReports()).toEqual([
      "listener status: status",
      "listener status: status",
      "invalidPush said: text must be a string",
      "listener said: boom",
      "listener $gap: gap",
      "malformed undefined: socka: invalid JSON",
      "listener said: later",
    ]);
    expect(session.status).toBe("open");
    await session.close();
    expect(takeReports()).toEqual(["listener status: status"]);
  });

  test("go to the console when nobody takes reports, and when who does throws", async () => {
    const console_ = vi.spyOn(console, "error").mockImplementation(() => {});
    const { session, open } = fixture({ onReport: undefined });
    (await open()).receive("{");
    expect(console_.mock.calls).toEqual([["wirelark: malformed:", new Error("socka: invalid JSON")]]);
    console_.mockClear();
    await session.close();
    const other = fixture({
      onReport: () => {
        throw new Error("sink");
      },
    });
    (await other.open()).push("said", 1);
    other.session.on("said", () => {});
    other.fake.sockets[0]?.push("said", 1);
    expect(console_.mock.calls.map(([text]) => text)).toEqual([
      "wirelark: the sink for reports threw",
      "wirelark: invalidPush said:",
    ]);
    await other.session.close();
  });

  test("can be waited for: the next, or the one that is meant", async () => {
    const { session, open } = fixture();
    const next = session.waitFor("tick");
    const third = session.waitFor("tick", { predicate: (n) => n === 3 });
    const socket = await open();
    const asked: number[] = [];
    const second = session.waitFor("tick", { predicate: (n) => asked.push(n) === 2 });
    for (const n of [1, 2, 3, 4]) socket.push("tick", n);
    expect(await Promise.all([next, second, third])).toEqual([1, 2, 3]);
    expect(asked).toEqual([1, 2]);
    await session.close();
  });

  test("that do not come end the wait: in time, by the signal, the predicate or the close", async () => {
    const { session, open } = fixture({ callTimeout: 3000 });
    const socket = await open();
    const controller = new AbortController();
    const late = rejection(session.waitFor("tick", { timeout: 1000 }));
    const later = rejection(session.waitFor("tick"));
    const aborted = rejection(session.waitFor("tick", controller));
    const threw = rejection(
      session.waitFor("cleared", {
        predicate: () => {
          throw new Error("predicate");
        },
      }),
    );
    socket.push("cleared");
    expect((await threw).message).toBe("predicate");
    controller.abort("enough");
    expect(await aborted).toMatchObject({ name: "AbortError", cause: "enough" });
    expect(await rejection(session.waitFor("tick", controller))).toBeInstanceOf(AbortError);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await late).toEqual(new TimeoutError("tick was not pushed in time", false));
    await vi.advanceTimersByTimeAsync(2000);
    expect((await later).message).toBe("tick was not pushed in time");
    const closed = rejection(session.waitFor("tick"));
    // Nobody looks at this one, which is no unhandled rejection.
    void session.waitFor("tick");
    await session.close(4000, "bye");
    expect((await closed).message).toBe("the client was closed by this client with 4000, bye");
  });

  test("are waited for across a lost connection", async () => {
    const { session, fake, open } = fixture();
    const tick = session.waitFor("tick");
    (await open()).end(1012);
    await vi.advanceTimersByTimeAsync(1000);
    const second = await fake.next();
    second.open();
    second.push("tick", 1);
    expect(await tick).toBe(1);
    await session.close();
  });
});

describe("closing", () => {
  test("fails the calls, lets what was sent leave, and waits for the server", async () => {
    const { session, open, statuses } = fixture();
    const socket = await open();
    const call = rejection(session.call.count());
    const closed = session.close(4001, "bye");
    expect(session.status).toBe("closed");
    expect(socket.closedWith).toEqual({ code: 4001, reason: "bye" });
    expect(await call).toMatchObject({
      name: "ClosedError",
      closed: { code: 4001, reason: "bye", by: "client" },
    });
    await closed;
    expect(socket.readyState).toBe(3);
    expect(await rejection(session.call.count())).toBeInstanceOf(ClosedError);
    await session.close();
    expect(statuses).toEqual(["idle", "connecting", "open", "closed"]);
  });

  test("does not wait for ever", async () => {
    const { session, open } = fixture({ closeTimeout: 2000 });
    (await open()).answersClose = false;
    let done = false;
    const closed = session.close().then(() => {
      done = true;
    });
    await vi.advanceTimersByTimeAsync(1999);
    expect(done).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await closed;
  });

  test("while connecting, or before that, settles everything too", async () => {
    for (const step of ["dialing", "connecting", "resting"] as const) {
      const { session, fake, takeReports } = fixture();
      const call = rejection(session.call.count());
      session.send.typing();
      const connected = rejection(session.connect());
      if (step !== "dialing") await fake.next();
      if (step === "resting") fake.sockets[0]?.end();
      await session.close();
      expect(await call, step).toBeInstanceOf(ClosedError);
      expect(await connected).toBeInstanceOf(step === "resting" ? DisconnectedError : ClosedError);
      expect(takeReports()).toEqual(["sendLost typing: the client was closed by this client with 1000"]);
      expect(fake.sockets).toHaveLength(step === "dialing" ? 0 : 1);
      if (step === "connecting") {
        // Some sockets open all the same.
        (fake.sockets[0] as FakeSocket).readyState = 0;
        fake.sockets[0]?.open();
      }
      expect([session.status, session.retry]).toEqual(["closed", undefined]);
    }
  });

  test("is not the end: connect opens it again, and hears nothing of the old socket", async () => {
    const { session, fake, open, statuses } = fixture();
    const heard: unknown[] = [];
    session.on("tick", (n) => heard.push(n));
    const first = await open();
    first.answersClose = false;
    const closed = session.close();
    const again = session.connect();
    const second = await fake.next();
    second.open();
    await again;
    first.receive('{"socka":"serverEvent","v":1,"event":"tick","body":1}');
    second.push("tick", 2);
    first.end(1000);
    await closed;
    expect(heard).toEqual([2]);
    expect(session.status).toBe("open");
    expect(session.closed).toBeUndefined();
    expect(statuses).toEqual(["idle", "connecting", "open", "closed", "connecting", "open"]);
    await session.close();
  });

  test("refuses what a page may not send", async () => {
    const { session } = fixture();
    expect(() => session.close(1001)).toThrow(OptionError);
    expect(() => session.close(5000)).toThrow("3000 to 4999");
    expect(() => session.close(4000, "é".repeat(62))).toThrow("123 bytes");
    await session.close(3000, `${"é".repeat(61)}!`);
    const { session: other } = fixture();
    await other.close(4999);
    expect([session.closed?.code, other.closed?.code]).toEqual([3000, 4999]);
  });

  test("by the listener that hears of the opening works, and everybody hears it in order", async () => {
    const fake = fakeWebSocket();
    const heard: string[] = [];
    const session = connect(chat, { url: "ws://host", webSocket: fake.webSocket });
    session.onStatus((status) => {
      heard.push(`first ${status}`);
      if (status === "open") void session.close();
    });
    session.onStatus((status) => heard.push(`second ${status}`));
    (await fake.next()).open();
    expect(heard).toEqual([
      "first connecting",
      "second connecting",
      "first open",
      "second open",
      "first closed",
      "second closed",
    ]);
    await Promise.resolve();
  });

  test("by who hears of lost sends leaves no wrong status", async () => {
    const fake = fakeWebSocket();
    const session = connect(chat, {
      url: "ws://host",
      webSocket: fake.webSocket,
      onReport: () => void session.connect(),
    });
    session.send.typing();
    const closed = session.close();
    expect(session.status).toBe("connecting");
    (await fake.next()).open();
    expect(session.status).toBe("open");
    await closed;
    await session.close();
  });
});

describe("another version of the contract", () => {
  test("is said by name, to who waits and to who comes later", async () => {
    const { session, open, statuses } = fixture();
    const early = rejection(session.call.count());
    const socket = await open();
    socket.end(4426, "contract Chat: the client has version 0123456789abcdef, the server fedcba9876543210");
    const error = await early;
    expect(error).toBeInstanceOf(OtherVersionError);
    expect(error).toBeInstanceOf(DisconnectedError);
    expect(error).toBeInstanceOf(WirelarkError);
    expect(error).toMatchObject({ contract: "Chat", sent: true, closed: { code: 4426, action: "stop" } });
    expect(error.message).toContain("the server fedcba9876543210");
    expect(await rejection(session.call.count())).toMatchObject({ name: "OtherVersionError", sent: false });
    expect(statuses).toEqual(["idle", "connecting", "open", "closed"]);
  });
});
