// Presence with the real server: lists stay exact while clients come and go, whatever way they connect.

import { connect } from "@wirelark/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { msgpack } from "../src/msgpack.js";
import { type Member, type News, PresenceList, type PresenceState, watchPresence } from "../src/presence.js";
import { openSocket } from "../src/raw.js";
import { lobby } from "./generated/conformance.js";
import { program, type Server, startServer } from "./server.js";

describe.skipIf(program === undefined)("the conformance server", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.stop());

  const ids = ({ members, loading }: PresenceState) =>
    loading ? [] : members.map(({ user, visitor }) => user ?? visitor);

  /** Waits until a list is as the server's own. */
  async function exact(state: () => PresenceState, room: string) {
    const http = server.url.replace("ws:", "http:");
    await expect
      .poll(
        async () => {
          const { members } = (await (await fetch(`${http}/presence/${room}`)).json()) as {
            members: Member[];
          };
          const truth = members.map(({ user, visitor, meta }) => [user ?? visitor, meta]);
          return (
            JSON.stringify([truth.sort(), members.length]) ===
            JSON.stringify([
              state()
                .members.map(({ user, visitor, meta }) => [user ?? visitor, meta])
                .sort(),
              ids(state()).length,
            ])
          );
        },
        { timeout: 10_000 },
      )
      .toBe(true);
  }

  test.each([
    ["JSON", {}],
    ["MessagePack", { format: msgpack }],
  ])("tells sessions in %s who is there, by the generated contract", async (name, options) => {
    const room = `sessions-${name}`;
    const session = () =>
      connect(lobby, { url: `${server.url}/lobby/${room}`, webSocket: WebSocket, ...options });
    const [first, second] = [session(), session()];
    const presence = watchPresence(first, "presence", { watch: () => first.call.watch() });
    presence.subscribe(() => {});
    await first.call.enter({ meta: { n: 1.5, of: "first" } });
    await second.call.enter({ meta: null });
    await expect.poll(() => ids(presence.state).length).toBe(2);
    await second.call.enter({ meta: ["changed"] });
    await exact(() => presence.state, room);
    expect(presence.state.members.map(({ meta }) => meta)).toContainEqual(["changed"]);
    await second.close();
    await expect
      .poll(() => presence.state.members.map(({ meta }) => meta))
      .toEqual([{ n: 1.5, of: "first" }]);
    await expect(first.call.enter({ meta: "x".repeat(5000) })).rejects.toThrow("4096");
    await first.close();
    expect(presence.state.loading).toBe(true);
  });

  test("keeps every list exact under a storm of reconnects", async () => {
    const room = "storm";
    const watcher = connect(lobby, { url: `${server.url}/lobby/${room}`, webSocket: WebSocket });
    const presence = watchPresence(watcher, "presence", { watch: () => watcher.call.watch() });
    presence.subscribe(() => {});

    // One that reconnects all the time itself, by a raw socket.
    const restless = new PresenceList();
    const dial = () =>
      openSocket({
        url: `${server.url}/presence/${room}?user=restless`,
        webSocket: WebSocket,
        onMessage: (text) => restless.receive(JSON.parse(String(text)) as News),
        onClose: () => restless.lost(),
      });
    let own = dial();

    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % below;
    };
    const members: ReturnType<typeof openSocket>[] = [];
    for (let step = 0; step < 300; step++) {
      if (members.length === 0 || random(5) < 3) {
        const url = `${server.url}/presence/${room}?user=u${random(12)}&meta=${random(3)}`;
        members.push(openSocket({ url, webSocket: WebSocket }));
      } else {
        members.splice(random(members.length), 1)[0]?.close();
      }
      if (step % 60 === 59) {
        own.close();
        restless.lost();
        own = dial();
      }
      if (random(4) === 0) await new Promise((resolve) => setTimeout(resolve, random(30)));
    }
    await exact(() => presence.state, room);
    await exact(() => restless.state, room);
    expect(ids(presence.state).length).toBeGreaterThan(3);
    for (const member of members) member.close();
    await expect.poll(() => ids(presence.state), { timeout: 10_000 }).toEqual(["restless"]);
    own.close();
    await watcher.close();
  }, 60_000);
});
