// Sessions with the real server, over real sockets.

import { connect, type Format, json, type SessionOptions } from "@wirelark/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { msgpack } from "../src/msgpack.js";
import { recorder, rejection } from "./chat.js";
import { rpc } from "./rpc.js";
import { program, type Server, startServer } from "./server.js";

describe.skipIf(program === undefined)("the conformance server", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.stop());

  function session(options: Partial<SessionOptions<typeof rpc>> = {}) {
    const record = recorder();
    const url = `${server.url}/rpc`;
    return { ...record, session: connect(rpc, { url, webSocket: WebSocket, ...record.options, ...options }) };
  }

  const formats: [string, Format, Partial<SessionOptions<typeof rpc>>][] = [
    ["JSON", json(), {}],
    ["JSON for a server of socka", json(), { plainSocka: true }],
    ["MessagePack", msgpack, {}],
  ];

  describe.each(formats)("in %s", (_, format, options) => {
    test("answers every call", async () => {
      const { session: it, statuses, reports } = session({ format, ...options });
      expect(await it.call.echo({ text: "héllo ✓ 🦀 \u0000" })).toEqual({ text: "héllo ✓ 🦀 \u0000" });
      expect(await it.call.add({ a: Date.now(), b: 0.5 })).toEqual({ sum: expect.any(Number) });
      expect((await it.call.add({ a: 2 ** 52, b: 1 })).sum).toBe(2 ** 52 + 1);
      expect(await it.call.list()).toEqual([
        { id: "a", n: 1 },
        { id: "b", n: 2.5 },
        { id: "ünï", n: -3 },
      ]);
      const slow = it.call.slow({ ms: 50, tag: "slow" });
      expect(await Promise.race([slow, it.call.slow({ ms: 1, tag: "fast" })])).toEqual({ tag: "fast" });
      expect(await slow).toEqual({ tag: "slow" });
      const many = Array.from({ length: 200 }, (_, n) => it.call.add({ a: n, b: 1000 }));
      expect((await Promise.all(many)).map(({ sum }) => sum)).toEqual(
        Array.from({ length: 200 }, (_, n) => n + 1000),
      );
      await it.close();
      expect(statuses).toEqual(["idle", "connecting", "open", "closed"]);
      expect(reports).toEqual([]);
    });

    test("says what went wrong", async () => {
      const { session: it, takeReports } = session({ format, ...options });
      expect(await rejection(it.call.fail())).toMatchObject({
        name: "ServerError",
        message: "nope",
        code: "FORBIDDEN",
        data: { why: "test", n: 7 },
      });
      expect(await rejection(it.call.crash())).toMatchObject({ message: "internal error", code: "INTERNAL" });
      // @ts-expect-error: the contract says it is text
      expect((await rejection(it.call.echo({ text: 42 }))).message).toContain("expected a string");
      it.send.nudge({ x: 1 });
      it.send.nudge({ x: -1 });
      await it.call.list();
      expect(takeReports()).toEqual(["sendFailed nudge: bad nudge"]);
      await it.close();
    });

    test("pushes, before it answers", async () => {
      const { session: it } = session({ format, ...options });
      const ticks: number[] = [];
      it.on("tick", ({ n }) => ticks.push(n));
      const changed = it.waitFor("itemsChanged");
      await it.call.emit({ ticks: 20 });
      expect(ticks).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
      expect(await changed).toHaveLength(3);
      await it.close();
    });
  });

  test("turns away a client of another version, by name", async () => {
    const url = `${server.url}/rpc`;
    const old = connect({ ...rpc, hash: "0123456789abcdef" }, { url, webSocket: WebSocket });
    const error = await rejection(old.call.list());
    expect(error).toMatchObject({
      name: "OtherVersionError",
      contract: "Rpc",
      closed: { code: 4426, by: "server" },
    });
    const ours = /the server ([0-9a-f]{16})$/.exec(error.message)?.[1];
    const same = connect({ ...rpc, hash: ours ?? "" }, { url, webSocket: WebSocket });
    expect(await same.call.echo({ text: "hi" })).toEqual({ text: "hi" });
    await same.close();
    const other = connect({ ...rpc, name: "Other", hash: ours ?? "" }, { url, webSocket: WebSocket });
    expect((await rejection(other.call.list())).message).toContain("this is contract Rpc");
  });

  test("that is none of ours is a status and an error, not a hang", async () => {
    for (const path of ["/echo", "/healthz", "/nowhere"]) {
      const options = { url: server.url + path, webSocket: WebSocket, reconnect: false } as const;
      const error = await rejection(connect(rpc, options).call.list());
      expect(error, path).toMatchObject({ name: "DisconnectedError", sent: false });
    }
    const reports: string[] = [];
    const echo = connect(rpc, {
      url: `${server.url}/echo`,
      webSocket: WebSocket,
      plainSocka: true,
      callTimeout: 300,
      onReport: ({ error }) => reports.push((error as Error).message),
    });
    expect((await rejection(echo.call.list())).name).toBe("TimeoutError");
    expect(reports).toEqual(["socka: unexpected client-originated frame from server"]);
    await echo.close();
  });

  test("that dies is missed, and another one found", async () => {
    const first = await startServer();
    const record = recorder();
    const it = connect(rpc, {
      url: [`${first.url}/rpc`, `${server.url}/rpc`],
      webSocket: WebSocket,
      reconnect: { initial: 10 },
      ...record.options,
    });
    await it.connect();
    const waits = rejection(it.call.slow({ ms: 5000, tag: "a" }));
    await Promise.all([first.stop("SIGKILL"), waits]);
    expect(await it.call.echo({ text: "b" })).toEqual({ text: "b" });
    expect(await waits).toMatchObject({
      name: "DisconnectedError",
      sent: true,
      closed: { code: 1006, by: "network" },
    });
    expect(record.statuses.slice(0, 4)).toEqual(["idle", "connecting", "open", "reconnecting"]);
    await it.close();
  });
});
