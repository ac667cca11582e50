// When a connection comes back, and when it does not.

import { closeAction, connect, type SessionOptions } from "@wirelark/client";
import { describe, expect, test, vi } from "vitest";
import { closedBy, lost } from "../src/closed.js";
import { BACKOFF, delayBefore } from "../src/reconnect.js";
import { type FakeSocket, fakeWebSocket } from "../src/testing.js";
import { chat, recorder, rejection } from "./chat.js";
import { virtualTime } from "./virtual-time.js";

const EXACT = { jitter: 0 };

virtualTime();

function fixture(options: Partial<SessionOptions<typeof chat>> = {}) {
  const fake = fakeWebSocket();
  const record = recorder();
  const session = connect(chat, {
    url: "ws://host/chat",
    webSocket: fake.webSocket,
    reconnect: EXACT,
    ...record.options,
    ...options,
  });
  return { ...record, fake, session };
}

/** Whether a socket is made within so many milliseconds, and not a moment sooner. */
async function madeAfter(fake: ReturnType<typeof fakeWebSocket>, delay: number): Promise<FakeSocket> {
  const before = fake.sockets.length;
  await vi.advanceTimersByTimeAsync(delay - 1);
  expect(fake.sockets.length, `a socket sooner than ${delay} ms`).toBe(before);
  await vi.advanceTimersByTimeAsync(1);
  expect(fake.sockets.length, `no socket after ${delay} ms`).toBe(before + 1);
  return fake.sockets.at(-1) as FakeSocket;
}

describe("a delay", () => {
  test("doubles up to the longest", () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 1000, 1e9].map((attempt) =>
      delayBefore({ ...BACKOFF, ...EXACT }, attempt, lost("")),
    );
    expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]);
  });

  test("is left to chance, all of it or the part that is asked for", () => {
    const random = vi.spyOn(Math, "random");
    const between = (jitter: number) =>
      [0, 0.5, 0.999].map((chance) => {
        random.mockReturnValue(chance);
        return Math.round(delayBefore({ ...BACKOFF, jitter }, 2, lost("")) ?? -1);
      });
    expect(between(1)).toEqual([2000, 1000, 2]);
    expect(between(0.2)).toEqual([2000, 1800, 1600]);
  });

  test("is what the server asks for, and then some", () => {
    const asked = (reason: string) =>
      delayBefore({ ...BACKOFF, ...EXACT }, 1, closedBy("server", 1013, reason));
    expect(asked("Too Many Requests; retry after 20 s")).toBe(21_000);
    expect(asked("retry after 0 s")).toBe(1000);
    expect(asked("retry after 99999999999 s")).toBe(3_601_000);
    for (const reason of [
      "",
      "retry after",
      "retry after 3",
      "retry after -1 s",
      "retry after 3 s, or 4",
      "3 s",
    ]) {
      expect(asked(reason), reason).toBe(1000);
    }
  });

  test("comes after every end but those that are final", () => {
    const again = (code: number) =>
      delayBefore(BACKOFF, 1, closedBy("server", code, "retry after 1 s")) !== undefined;
    for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4400, 4401, 4403, 4404, 4409, 4426]) {
      expect(again(code), String(code)).toBe(false);
    }
    for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 1014, 3000, 4000, 4408, 4429, 4500, 4504]) {
      expect(again(code), String(code)).toBe(true);
    }
    expect(delayBefore(BACKOFF, 1, closedBy("client", 1006, ""))).toBeUndefined();
  });
});

describe("a session", () => {
  test("finds a server that restarts, and says what it does meanwhile", async () => {
    const { session, fake, statuses } = fixture();
    const first = await fake.next();
    first.open();
    const call = rejection(session.call.count());
    first.end(1012, "restart");
    expect(await call).toMatchObject({
      sent: true,
      closed: { code: 1012, by: "server", action: "reconnect" },
    });
    expect([session.status, session.retry]).toEqual(["reconnecting", { attempt: 1, delay: 1000 }]);
    expect(session.closed).toMatchObject({ code: 1012, reason: "restart" });
    expect(statuses.at(-1)).toBe("reconnecting");
    const waits = session.call.count();
    (await madeAfter(fake, 1000)).fail("refused");
    expect(session.closed).toMatchObject({ code: 1006, reason: "refused", by: "network" });
    expect(session.retry).toEqual({ attempt: 2, delay: 2000 });
    const third = await madeAfter(fake, 2000);
    expect(session.status).toBe("reconnecting");
    third.open();
    third.answer("count", "ok");
    expect(await waits).toBe(2);
    expect([session.retry, session.closed]).toEqual([undefined, undefined]);
    expect(statuses).toEqual(["idle", "connecting", "open", "reconnecting", "reconnecting", "open"]);
    await session.close();
  });

  test("is not fooled by a server that accepts and hangs up", async () => {
    const { session, fake } = fixture();
    (await fake.next()).open();
    fake.sockets[0]?.end();
    for (const delay of [1000, 2000, 4000]) {
      const socket = await madeAfter(fake, delay);
      socket.open();
      await vi.advanceTimersByTimeAsync(delay - 1);
      socket.end();
    }
    const socket = await madeAfter(fake, 8000);
    socket.open();
    await vi.advanceTimersByTimeAsync(8001);
    socket.end();
    expect(session.retry).toEqual({ attempt: 1, delay: 1000 });
    await session.close();
  });

  test("does not sleep less because chance made its last delay short", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    const { session, fake } = fixture({ reconnect: { jitter: 1 } });
    (await fake.next()).end();
    for (let attempt = 2; attempt < 8; attempt += 1) {
      await vi.advanceTimersByTimeAsync(100);
      const socket = fake.sockets.at(-1) as FakeSocket;
      socket.open();
      await vi.advanceTimersByTimeAsync(200);
      socket.end();
      expect(session.retry?.attempt).toBe(attempt);
    }
    await session.close();
  });

  test("stays closed when the server says that there is no use", async () => {
    for (const code of [1000, 1008, 4401, 4403, 4409]) {
      const { session, fake, statuses } = fixture();
      const waits = rejection(session.waitFor("tick"));
      const socket = await fake.next();
      socket.open();
      socket.end(code, "no");
      expect(session.status).toBe("closed");
      expect(session.closed).toEqual({ code, reason: "no", by: "server", action: closeAction(code) });
      expect((await waits).name).toBe("ClosedError");
      expect((await rejection(session.call.count())).message).toBe(
        `the client was closed by the server with ${code}, no`,
      );
      expect(statuses.at(-1)).toBe("closed");
      await vi.advanceTimersByTimeAsync(100_000);
      expect(fake.sockets).toHaveLength(1);
      // Signed in, or whatever was asked of it.
      const again = session.connect();
      (await fake.next()).open();
      await again;
      await session.close();
    }
  });

  test("fails what waits when the server turns it away for good", async () => {
    const { session, fake, takeReports } = fixture();
    const call = rejection(session.call.count());
    session.send.typing();
    const connected = rejection(session.connect());
    const socket = await fake.next();
    socket.end(4404, "Not Found");
    for (const error of [await call, await connected]) {
      expect(error).toMatchObject({
        name: "DisconnectedError",
        sent: false,
        closed: { code: 4404, action: "stop" },
      });
    }
    expect(takeReports()).toEqual([
      "sendLost typing: the connection ended by the server with 4404, Not Found",
    ]);
  });

  test("gives up after as many attempts as it may make", async () => {
    const { session, fake } = fixture({ reconnect: { ...EXACT, maxAttempts: 2 } });
    const call = rejection(session.call.count());
    (await fake.next()).fail();
    (await madeAfter(fake, 1000)).fail();
    (await madeAfter(fake, 2000)).fail();
    expect(session.status).toBe("closed");
    expect((await call).message).toBe("the connection ended by the network with 1006, the connection broke");
  });

  test("makes no attempt but the first, if that is wanted", async () => {
    const { session, fake, statuses } = fixture({ reconnect: false });
    (await fake.next()).open();
    fake.sockets[0]?.end(1012);
    expect(session.status).toBe("closed");
    expect(statuses).toEqual(["idle", "connecting", "open", "closed"]);
  });

  test("does not wait when somebody wants a connection now, and takes the next address", async () => {
    const { session, fake } = fixture({ url: ["ws://a/", "ws://b/"] });
    (await fake.next()).fail();
    const connected = session.connect();
    const second = await fake.next();
    expect(session.status).toBe("reconnecting");
    second.open();
    await connected;
    second.end(1012);
    await vi.advanceTimersByTimeAsync(2000);
    expect(fake.sockets.map(({ url }) => url)).toEqual(["ws://a/", "ws://b/", "ws://a/"]);
    await session.close();
  });

  test("that is told to connect while it tries waits for that attempt", async () => {
    const { session, fake } = fixture();
    (await fake.next()).fail();
    const second = await madeAfter(fake, 1000);
    const connected = rejection(session.connect());
    second.fail();
    expect(await connected).toMatchObject({ name: "DisconnectedError", sent: false });
    expect(fake.sockets).toHaveLength(2);
    await session.close();
  });

  test("rests while nobody looks at its page", async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: "hidden" });
    vi.stubGlobal("document", page);
    const look = (state: string) => {
      page.visibilityState = state;
      page.dispatchEvent(new Event("visibilitychange"));
    };
    const { session, fake } = fixture();
    (await fake.next()).end();
    await vi.advanceTimersByTimeAsync(100_000);
    look("hidden");
    expect(fake.sockets).toHaveLength(1);
    look("visible");
    (await fake.next()).end();
    look("hidden");
    look("visible");
    await madeAfter(fake, 2000);
    await session.close();
    fake.sockets.at(-1)?.end();

    page.visibilityState = "hidden";
    const restless = fixture({ reconnect: { ...EXACT, pauseWhenHidden: false } });
    (await restless.fake.next()).end();
    await madeAfter(restless.fake, 1000);
    await restless.session.close();

    const closed = fixture();
    (await closed.fake.next()).end();
    await vi.advanceTimersByTimeAsync(1000);
    await closed.session.close();
    look("visible");
    await vi.advanceTimersByTimeAsync(1000);
    expect(closed.fake.sockets).toHaveLength(1);
  });
});

test("whatever closes when, no call hangs and each call is sent once", async () => {
  // Not of the clock's making: the same numbers give the same story.
  for (let seed = 1; seed <= 150; seed += 1) {
    let state = seed;
    const random = (below: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    const { session, fake, reports } = fixture({ callTimeout: 60_000, onReport: () => {} });
    const outcomes: Promise<string>[] = [];
    for (let step = 0; step < 60; step += 1) {
      const socket = fake.sockets.at(-1);
      switch (random(9)) {
        case 0:
          if (socket?.readyState === 0) socket.open();
          break;
        case 1:
          socket?.end([1000, 1006, 1012, 4401][random(4)]);
          break;
        case 2:
          socket?.fail();
          break;
        case 3:
          if (random(4) === 0) void session.close();
          break;
        case 4:
          void session.connect();
          break;
        case 5:
          await vi.advanceTimersByTimeAsync(random(4000));
          break;
        case 6:
          for (const request of socket?.requests ?? []) socket?.answer(request, "answer");
          break;
        default:
          outcomes.push(
            session.call.count().then(
              () => "answer",
              (error: Error) => error.name,
            ),
          );
      }
    }
    const settled = Promise.all(outcomes);
    await vi.advanceTimersByTimeAsync(60_000);
    await session.close();
    await vi.advanceTimersByTimeAsync(5000);
    const known = ["answer", "DisconnectedError", "ClosedError", "TimeoutError"];
    for (const outcome of await settled) expect(known, `seed ${seed}`).toContain(outcome);
    const ids = fake.sockets.flatMap((socket) => socket.requests.map(({ id }) => id));
    expect(new Set(ids).size, `seed ${seed}`).toBe(ids.length);
    expect(reports).toEqual([]);
  }
});
