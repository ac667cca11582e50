// Sessions of several tabs that share a socket, in a browser that does what the test says.

import { connect, type Format, type SessionOptions } from "@wirelark/client";
import { describe, expect, test, vi } from "vitest";
import { msgpack } from "../src/msgpack.js";
import type { ToWorker } from "../src/port-messages.js";
import { shared } from "../src/share.js";
import { fakeWebSocket } from "../src/testing.js";
import { browser } from "./browser.js";
import { chat, recorder, rejection } from "./chat.js";
import { virtualTime } from "./virtual-time.js";

virtualTime();

type Options = Partial<SessionOptions<typeof chat>>;

function fixture(format?: Format) {
  /** The sockets of the worker, and those of single tabs. */
  const [worker, own] = [fakeWebSocket(format), fakeWebSocket(format)];
  const it = browser(worker.webSocket, ...(format === undefined ? [] : [format]));

  function tab(options: Options = {}) {
    const record = recorder();
    const given = { url: "ws://host/chat", webSocket: own.webSocket, format, ...record.options, ...options };
    return { ...record, session: connect(chat, shared(it.start, given)) };
  }

  /** Two tabs and the open socket they share. */
  async function two(options: Options = {}) {
    const [first, second] = [tab(options), tab(options)];
    const socket = await worker.next();
    await settle();
    socket.open();
    await settle();
    expect([first.session.status, second.session.status]).toEqual(["open", "open"]);
    return { first, second, socket };
  }

  return { ...it, worker, own, tab, two };
}

/** Lets everything arrive that was posted. */
const settle = () => vi.advanceTimersByTimeAsync(0);

async function close(...tabs: readonly ReturnType<ReturnType<typeof fixture>["tab"]>[]): Promise<void> {
  const closed = tabs.map(({ session }) => session.close());
  await settle();
  await Promise.all(closed);
}

describe("tabs", () => {
  test("have one socket, and each its own calls; one that comes later is open at once", async () => {
    for (const format of [undefined, msgpack]) {
      const { tab, two, worker, own } = fixture(format);
      const { first, second, socket } = await two();
      expect(socket.protocols.slice(1)).toEqual(["wirelark.contract.Chat.0123456789abcdef"]);
      expect(socket.binaryType).toBe("arraybuffer");
      const third = tab();
      await settle();
      expect(third.statuses).toEqual(["idle", "connecting", "open"]);

      const answers = [first, second, third].map(({ session }) => session.call.count());
      await settle();
      expect(new Set(socket.requests.map(({ id }) => id)).size).toBe(3);
      for (const [n, request] of [...socket.requests.entries()].reverse()) {
        socket.answer(request, "x".repeat(n + 1));
      }
      expect(await Promise.all(answers)).toEqual([1, 2, 3]);
      expect([worker.sockets.length, own.sockets.length]).toEqual([1, 0]);
      await close(first, second, third);
      expect([first, second, third].flatMap(({ reports }) => reports)).toEqual([]);
    }
  });

  test("hear every push, gap and damaged frame, but not each other's answers", async () => {
    const heard: unknown[] = [];
    const { two, tabs } = fixture();
    const on = { tick: (n: number) => heard.push(n) };
    const { first, second, socket } = await two({ on, onGap: ({ missed }) => heard.push({ missed }) });
    socket.push("tick", 7);
    socket.push("$gap", { push: "tick", missed: 3 });
    socket.receive("no frame");
    socket.receive("null");
    await settle();
    expect(heard).toEqual([7, 7, { missed: 3 }, { missed: 3 }]);
    for (const { takeReports } of [first, second]) {
      expect(takeReports()).toEqual([
        "malformed undefined: socka: invalid JSON",
        "malformed undefined: socka: expected a JSON object",
      ]);
    }

    const toFirst = tabs[0]?.port.peer?.posted ?? [];
    first.session.send.move({ x: 1 });
    await settle();
    const before = toFirst.length;
    const call = rejection(second.session.call.count());
    await settle();
    socket.refuse("count", "nope", { code: "NO" });
    expect(await call).toMatchObject({ message: "nope", code: "NO", requestId: "count-1" });
    expect(toFirst).toHaveLength(before);
    socket.refuse("move", "a wall");
    await settle();
    expect([first.takeReports(), second.takeReports()]).toEqual([["sendFailed move: a wall"], []]);
    socket.frame({ socka: "serverError", v: 1, id: "strange-99", error: "what?" });
    await settle();
    expect([first, second].map(({ takeReports }) => takeReports())).toEqual([
      ["orphanError undefined: what?"],
      ["orphanError undefined: what?"],
    ]);
    await close(first, second);
  });

  test("with another address, token, version or format have another socket", async () => {
    const { tab, start, worker } = fixture();
    const tabs = [
      tab(),
      tab(),
      tab({ url: "ws://host/other" }),
      tab({ protocols: ["bearer.a"] }),
      tab({ protocols: ["bearer.b"] }),
      tab({ plainSocka: true }),
    ];
    const options = { url: "ws://host/chat", reconnect: false } as const;
    const newer = connect({ ...chat, hash: "fedcba9876543210" }, shared(start, options));
    await settle();
    expect(worker.sockets.map(({ url, protocols }) => [url, ...protocols.slice(1)].join(" "))).toEqual([
      "ws://host/chat wirelark.contract.Chat.0123456789abcdef",
      "ws://host/other wirelark.contract.Chat.0123456789abcdef",
      "ws://host/chat wirelark.contract.Chat.0123456789abcdef bearer.a",
      "ws://host/chat wirelark.contract.Chat.0123456789abcdef bearer.b",
      "ws://host/chat",
      "ws://host/chat wirelark.contract.Chat.fedcba9876543210",
    ]);
    worker.sockets[5]?.open();
    worker.sockets[5]?.end(4426, "contract Chat: another version");
    await settle();
    expect(newer.closed).toMatchObject({ code: 4426, action: "stop" });
    await close(...tabs);
  });

  test("are told how much waits: it is bounded as with a socket of their own", async () => {
    const { two } = fixture();
    const { first, second, socket } = await two({ outboxBytes: 300 });
    socket.bufferedAmount = 20_000;
    first.session.send.typing();
    first.session.send.typing();
    expect(() => {
      for (let n = 0; n < 3; n += 1) first.session.send.typing();
    }).toThrow("no room");
    await settle();
    const { length } = socket.sent;
    expect(vi.getTimerCount()).toBe(1);
    second.session.send.typing();
    await vi.advanceTimersByTimeAsync(1000);
    expect(() => {
      for (let n = 0; n < 3; n += 1) first.session.send.typing();
    }).toThrow("no room");
    socket.bufferedAmount = 0;
    await vi.advanceTimersByTimeAsync(50);
    first.session.send.typing();
    first.session.send.typing();
    await settle();
    expect(socket.sent).toHaveLength(length + 3);
    await close(first, second);
  });

  test("that send what nobody can have any more leave nothing behind", async () => {
    const { two } = fixture();
    const { first, second, socket } = await two({ reconnect: false });
    socket.bufferedAmount = 20_000;
    first.session.send.typing();
    await settle();
    socket.end(1012);
    second.session.send.typing();
    await settle();
    expect(first.session.status).toBe("closed");
  });

  test("reconnect together, each by its own clock, and hear what the server said", async () => {
    vi.spyOn(Math, "random").mockReturnValueOnce(0.5).mockReturnValueOnce(0);
    const { two, worker } = fixture();
    const { first, second, socket } = await two();
    const call = rejection(first.session.call.count());
    await settle();
    socket.end(1013, "busy: retry after 3 s");
    expect(await call).toMatchObject({ name: "DisconnectedError", sent: true, closed: { code: 1013 } });
    expect([first, second].map(({ session }) => session.retry?.delay)).toEqual([3500, 4000]);
    await vi.advanceTimersByTimeAsync(3500);
    (await worker.next()).open();
    await settle();
    expect([first, second].map(({ session }) => session.status)).toEqual(["open", "reconnecting"]);
    await vi.advanceTimersByTimeAsync(500);
    expect(second.session.status).toBe("open");
    expect(worker.sockets).toHaveLength(2);
    worker.sockets[1]?.end(1008, "policy");
    await settle();
    expect([first, second].map(({ session }) => session.closed?.action)).toEqual(["stop", "stop"]);
  });

  test("that are hidden wait, and do not keep one that is seen from its connection", async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
    const { tab, two, worker } = fixture();
    const { first, second, socket } = await two();
    vi.stubGlobal("document", page);
    page.visibilityState = "hidden";
    socket.end(1012);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(worker.sockets).toHaveLength(1);
    const seen = tab();
    (await worker.next()).open();
    await settle();
    expect([first, second, seen].map(({ session }) => session.status)).toEqual([
      "reconnecting",
      "reconnecting",
      "open",
    ]);
    page.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    await settle();
    expect([first, second].map(({ session }) => session.status)).toEqual(["open", "open"]);
    expect(worker.sockets).toHaveLength(2);
    await close(first, second, seen);
  });
});

describe("a tab that", () => {
  test("closes leaves the socket to the others, and the last one closes it", async () => {
    const { two } = fixture();
    const { first, second, socket } = await two();
    const call = rejection(first.session.call.count());
    await settle();
    await close(first);
    expect((await call).name).toBe("ClosedError");
    expect([socket.closedWith, second.session.status]).toEqual([undefined, "open"]);
    const answer = second.session.call.count();
    await settle();
    socket.answer(socket.requests[1] ?? "", "late");
    expect(await answer).toBe(4);
    const closed = second.session.close(4001, "bye");
    await settle();
    await closed;
    expect(socket.closedWith).toEqual({ code: 4001, reason: "bye" });
  });

  test("closes and connects again has the socket that is there, or another if that is closing", async () => {
    const { two, worker } = fixture();
    const { first, second, socket } = await two();
    const old = rejection(first.session.call.count());
    await settle();
    await close(first);
    await old;
    void first.session.connect();
    await settle();
    const call = first.session.call.count();
    await settle();
    socket.answer(socket.requests[0] ?? "", "an answer to the old call");
    socket.answer(socket.requests[1] ?? "", "new");
    expect(await call).toBe(3);
    expect(worker.sockets).toHaveLength(1);

    await close(first);
    socket.answersClose = false;
    const closed = second.session.close();
    await settle();
    void first.session.connect();
    await settle();
    expect(worker.sockets).toHaveLength(2);
    worker.sockets[1]?.open();
    socket.end(1000);
    await closed;
    await settle();
    void second.session.connect();
    await settle();
    expect([first, second].map(({ session }) => session.status)).toEqual(["open", "open"]);
    expect(worker.sockets).toHaveLength(2);
    await close(first, second);
    expect(first.reports).toEqual([]);
  });

  test("closes before there is a connection leaves nothing behind", async () => {
    for (const step of ["dialing", "waiting for its lock", "connecting"]) {
      const { tab, tabs, worker, locks } = fixture();
      let release = () => {};
      const { request } = locks;
      if (step === "waiting for its lock") {
        locks.request = async (...args) => {
          await new Promise<void>((granted) => {
            release = granted;
          });
          return request.apply(locks, args);
        };
      }
      const { session } = tab();
      const call = rejection(session.call.count());
      if (step !== "dialing") await settle();
      const closed = session.close();
      await settle();
      await closed;
      release();
      await settle();
      expect((await call).name).toBe("ClosedError");
      expect(worker.sockets.map(({ readyState }) => readyState)).toEqual(step === "connecting" ? [3] : []);
      expect(tabs.flatMap(({ port }) => port.posted)).toHaveLength(step === "connecting" ? 2 : 0);
    }
  });

  test("is killed is missed: the others go on, and after the last the socket is closed", async () => {
    const { two, tabs } = fixture();
    const { first, second, socket } = await two();
    const pending = rejection(first.session.call.count());
    await settle();
    tabs[0]?.kill();
    await settle();
    expect(socket.closedWith).toBeUndefined();
    socket.answer("count", "for nobody");
    const posted = tabs[0]?.port.peer?.posted.length;
    const answer = second.session.call.count();
    await settle();
    socket.answer("count", "four");
    expect(await answer).toBe(4);
    expect(tabs[0]?.port.peer?.posted).toHaveLength(posted ?? 0);
    tabs[1]?.kill();
    await settle();
    expect(socket.closedWith).toEqual({ code: 1000, reason: "" });
    // The killed pages' sessions live on in this process, and hear nothing more.
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await pending).name).toBe("TimeoutError");
    for (const { session } of [first, second]) void session.close();
    await vi.advanceTimersByTimeAsync(5000);
  });

  test("is left, and perhaps comes back, has a new part of the socket by then", async () => {
    const { two, fire, worker } = fixture();
    const { first, second, socket } = await two();
    const call = rejection(first.session.call.count());
    await settle();
    fire("pagehide");
    expect(await call).toMatchObject({ name: "DisconnectedError", sent: true });
    expect(first.session.closed).toMatchObject({ by: "network", reason: "the page was left" });
    await settle();
    expect(socket.readyState).toBe(3);
    await vi.advanceTimersByTimeAsync(1000);
    worker.sockets[1]?.open();
    await settle();
    expect([first, second].map(({ session }) => session.status)).toEqual(["open", "open"]);
    await close(first, second);
  });
});

describe("a part of a socket ends as a socket does", () => {
  /** One, and what it says. */
  function part({ start }: ReturnType<typeof fixture>) {
    const { webSocket } = shared(start, { url: "ws://host/chat" });
    if (webSocket === undefined) throw new Error("nothing is shared");
    const socket = new webSocket("ws://host/chat", []);
    const events: unknown[] = [];
    socket.addEventListener("open", () => events.push("open"));
    socket.addEventListener("error", (event) => events.push((event as { message: string }).message));
    socket.addEventListener("close", ({ code, reason }) => events.push({ code, reason }));
    return { socket, events };
  }

  test("once it is closed, though it was opened meanwhile", async () => {
    const it = fixture();
    const { socket, events } = part(it);
    await settle();
    it.worker.sockets[0]?.open();
    socket.close(4001, "bye");
    socket.close();
    expect(socket.readyState).toBe(2);
    await settle();
    expect(socket.readyState).toBe(3);
    expect(events).toEqual([{ code: 4001, reason: "bye" }]);
    expect(it.tabs[0]?.port.posted).toHaveLength(2);
  });

  test("with an error, when it is closed before there was one", async () => {
    const { socket, events } = part(fixture());
    socket.close();
    await settle();
    expect(events).toEqual([
      "closed before it was open",
      { code: 1006, reason: "closed before it was open" },
    ]);
  });

  test("with an error, when its worker fails", async () => {
    const it = fixture();
    const { socket, events } = part(it);
    await settle();
    it.worker.sockets[0]?.open();
    await settle();
    it.tabs[0]?.fail();
    const why = "the worker cannot be loaded";
    expect(events).toEqual(["open", why, { code: 1006, reason: why }]);
    expect([socket.readyState, it.own.sockets.length]).toEqual([3, 0]);
  });
});

describe("a worker that", () => {
  test("is gone is missed, and calls settle", async () => {
    const { two, killWorker } = fixture();
    const { first, second } = await two({ reconnect: false });
    const call = rejection(second.session.call.count());
    await settle();
    killWorker();
    expect(await call).toMatchObject({
      name: "DisconnectedError",
      sent: true,
      message: expect.stringContaining("the worker that held the socket has ended"),
    });
    await settle();
    expect([first, second].map(({ session }) => session.status)).toEqual(["closed", "closed"]);
  });

  describe("cannot be had is no reason not to connect:", () => {
    type Fixture = ReturnType<typeof fixture>;
    const cases: [why: string, spoil: (it: Fixture) => () => SharedWorker, format?: Format][] = [
      [
        "not allowed",
        () => () => {
          throw new Error("not allowed");
        },
      ],
      [
        "no locks here",
        (it) => {
          vi.spyOn(it.locks, "request").mockRejectedValue(new Error("no locks here"));
          return it.start;
        },
      ],
      [
        "the worker cannot be loaded",
        (it) => () => {
          const worker = it.start();
          queueMicrotask(() => it.tabs.at(-1)?.fail());
          return worker;
        },
      ],
      [
        "the worker is of another version",
        (it) => () => {
          const worker = it.start();
          const post = worker.port.postMessage.bind(worker.port);
          worker.port.postMessage = (message: ToWorker) =>
            post(message.type === "dial" ? { ...message, dial: { ...message.dial, version: 0 } } : message);
          return worker;
        },
      ],
      ["`serveTabs` was not given the format of `wirelark.v1.msgpack`", (it) => it.start, msgpack],
      [
        "no socket for you",
        (it) => {
          vi.stubGlobal(
            "WebSocket",
            class {
              constructor() {
                throw new Error("no socket for you");
              }
            },
          );
          return it.start;
        },
      ],
    ];

    test.each(cases)("%s", async (why, spoil, format) => {
      const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
      const it = fixture();
      const [record, own] = [recorder(), fakeWebSocket(format)];
      const options = { url: "ws://host/chat", webSocket: own.webSocket, format, ...record.options };
      const session = connect(chat, shared(spoil(it), options));
      const call = session.call.count();
      await settle();
      expect(warn.mock.calls.join()).toContain(why);
      const socket = await own.next();
      expect(socket.binaryType).toBe("arraybuffer");
      expect([socket.url, socket.protocols.length, it.worker.sockets.length]).toEqual([
        "ws://host/chat",
        2,
        0,
      ]);
      socket.open();
      socket.answer("count", "alone");
      expect(await call).toBe(5);
      socket.bufferedAmount = 2 ** 20;
      expect(() => session.send.typing()).toThrow("no room");
      socket.end(1012);
      expect(session.closed).toMatchObject({ code: 1012, by: "server" });
      expect(record.statuses).toEqual(["idle", "connecting", "open", "reconnecting"]);
      void session.connect();
      await settle();
      const again = await own.next();
      again.open();
      await session.close(4001, "bye");
      expect(again.closedWith).toEqual({ code: 4001, reason: "bye" });
    });

    test("the worker does not answer, and is waited for no longer than 3 s", async () => {
      const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
      const it = fixture();
      const silent = () => {
        const worker = it.start();
        for (const { port } of it.tabs) port.peer = undefined;
        return worker;
      };
      const options = { url: "ws://host/chat", webSocket: it.own.webSocket };
      const session = connect(chat, shared(silent, options));
      await vi.advanceTimersByTimeAsync(2999);
      expect(it.own.sockets.length).toBe(0);
      await vi.advanceTimersByTimeAsync(1);
      expect(warn.mock.calls.join()).toContain("the worker does not answer");
      (await it.own.next()).open();
      expect(session.status).toBe("open");
      void session.close();
    });

    test("but a server that takes longer than that is the worker's to wait for", async () => {
      const { tab, worker, own } = fixture();
      const { session } = tab();
      await vi.advanceTimersByTimeAsync(5000);
      expect([worker.sockets.length, own.sockets.length]).toEqual([1, 0]);
      worker.sockets[0]?.open();
      await settle();
      expect(session.status).toBe("open");
      void session.close();
    });

    test("it fails before the tab has its lock, and there is one socket all the same", async () => {
      vi.spyOn(console, "warn").mockImplementation(() => {});
      const it = fixture();
      vi.spyOn(it.locks, "request").mockImplementation((_, options) => {
        const { signal } = options as { signal: AbortSignal };
        return new Promise((_, refuse) => signal.addEventListener("abort", () => refuse(signal.reason)));
      });
      const session = connect(chat, shared(it.start, { url: "ws://host/chat", webSocket: it.own.webSocket }));
      await settle();
      it.tabs[0]?.fail();
      await settle();
      expect(it.own.sockets.length).toBe(1);
      void session.close();
    });

    test("nor is the lack of a socket of one's own a hang", async () => {
      vi.spyOn(console, "warn").mockImplementation(() => {});
      fixture();
      const start = () => {
        throw new Error("not this");
      };
      const webSocket = class {
        constructor() {
          throw new Error("nor that");
        }
      } as never;
      const options = { url: "ws://host/chat", webSocket, reconnect: false } as const;
      const error = await rejection(connect(chat, shared(start, options)).call.count());
      expect(error).toMatchObject({ name: "DisconnectedError", sent: false });
    });
  });

  test("does not exist here leaves the options as they are", () => {
    const options = { url: "ws://host/chat" };
    const start = () => {
      throw new Error("nobody asked");
    };
    expect(shared(start, options)).toBe(options);
    vi.stubGlobal("SharedWorker", class {});
    vi.stubGlobal("navigator", {});
    expect(shared(start, options)).toBe(options);
    vi.stubGlobal("SharedWorker", undefined);
    vi.stubGlobal("navigator", { locks: {} });
    expect(shared(start, options)).toBe(options);
  });
});
