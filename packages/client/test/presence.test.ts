// Lists of who is present, fed with what servers tell, in order and out of it.

import { connect, unchecked } from "@wirelark/client";
import { describe, expect, expectTypeOf, test } from "vitest";
import { type Member, memberOf, type News, PresenceList, watchPresence } from "../src/presence.js";
import { type FakeSocket, fakeWebSocket } from "../src/testing.js";

const lobby = {
  name: "Lobby",
  calls: { watch: {} },
  pushes: { presence: { body: unchecked<News>() }, said: { body: unchecked<{ text: string }>() } },
} as const;

const user = (name: string, meta: unknown = null): Member => ({ user: name, meta });
const diff = (
  seq: number,
  { joined = [], updated = [], left = [] }: { joined?: Member[]; updated?: Member[]; left?: string[] },
) => ({ seq, joined, updated, left: left.map((user) => ({ user })) });

function names({ members, loading }: { members: readonly Member[]; loading: boolean }) {
  return [loading ? "loading" : "here", ...members.map(({ user, visitor }) => user ?? `(${visitor})`)].join(
    " ",
  );
}

describe("a list", () => {
  test("is a snapshot and what has changed since", () => {
    const list = new PresenceList();
    const seen: string[] = [];
    const unsubscribe = list.subscribe(() => seen.push(names(list.state)));
    expect(names(list.state)).toBe("loading");
    list.receive({ seq: 4, snapshot: [{ visitor: "0f", meta: 1 }, user("bob"), user("ada")] });
    list.receive(diff(5, { joined: [user("eve")], left: ["bob"] }));
    list.receive(diff(6, { updated: [user("ada", { hat: true })] }));
    expect(seen).toEqual(["here ada bob (0f)", "here ada eve (0f)", "here ada eve (0f)"]);
    expect(list.state.members[0]).toEqual(user("ada", { hat: true }));
    expect(memberOf(list.state.members, "0f")?.meta).toBe(1);
    expect(memberOf(list.state.members, "bob")).toBeUndefined();
    unsubscribe();
    list.receive(diff(7, { left: ["ada"] }));
    expect(seen).toHaveLength(3);
  });

  test("that misses a diff believes nothing until the next snapshot", () => {
    const list = new PresenceList();
    list.receive({ seq: 1, snapshot: [user("ada")] });
    list.receive(diff(3, { joined: [user("eve")] }));
    expect(names(list.state)).toBe("loading ada");
    list.receive(diff(4, { left: ["ada"] }));
    expect(names(list.state)).toBe("loading ada");
    list.receive({ seq: 4, snapshot: [user("eve")] });
    list.receive(diff(5, { joined: [user("bob")] }));
    expect(names(list.state)).toBe("here bob eve");
    list.receive(diff(5, { joined: [user("bob")] }));
    expect(names(list.state)).toBe("loading bob eve");
  });

  test("is there once all parts of its snapshot are", () => {
    const list = new PresenceList();
    list.receive({ seq: 9, snapshot: [user("ada")], parts: 3 });
    list.receive({ ...diff(9, { joined: [user("bob")] }), part: 2 });
    expect(names(list.state)).toBe("loading");
    list.receive({ ...diff(9, { joined: [user("eve")] }), part: 3 });
    expect(names(list.state)).toBe("here ada bob eve");
    list.receive(diff(10, { left: ["bob"] }));
    expect(names(list.state)).toBe("here ada eve");
    for (const broken of [{ ...diff(9, {}), part: 3 }, diff(10, {}), { ...diff(8, {}), part: 2 }]) {
      list.receive({ seq: 9, snapshot: [user("ada")], parts: 3 });
      list.receive(broken);
      list.receive({ ...diff(9, {}), part: 2 });
      expect(list.state.loading).toBe(true);
    }
  });
});

describe("a session's presence", () => {
  /** Whatever the session does a moment later is done. */
  const settled = () => new Promise((resolve) => setTimeout(resolve));

  async function watched(watch = false) {
    const fake = fakeWebSocket();
    const session = connect(lobby, { url: "ws://host/lobby", webSocket: fake.webSocket });
    const options = watch ? { watch: () => session.call.watch() } : {};
    const presence = watchPresence(session, "presence", options);
    await settled();
    return { session, presence, socket: (at = 0) => fake.sockets[at] as FakeSocket };
  }

  test("is one list for all who ask, for as long as somebody listens", async () => {
    const { session, presence, socket } = await watched();
    expect(watchPresence(session, "presence")).toBe(presence);
    // @ts-expect-error: what it carries are no news.
    watchPresence(session, "said");
    let changes = 0;
    const listener = () => {
      changes += 1;
    };
    const [first, second] = [presence.subscribe(listener), presence.subscribe(listener)];
    socket().open();
    socket().push("presence", { seq: 0, snapshot: [user("ada")] });
    expect([names(presence.state), changes]).toEqual(["here ada", 2]);
    first();
    first();
    await settled();
    socket().push("presence", diff(1, { joined: [user("bob")] }));
    expect([names(presence.state), changes]).toEqual(["here ada bob", 3]);
    second();
    await settled();
    socket().push("presence", diff(2, { joined: [user("eve")] }));
    expect(names(presence.state)).toBe("loading ada bob");
    await session.close();
  });

  test("is asked for whenever the session opens, or somebody begins to listen", async () => {
    const { session, presence, socket } = await watched(true);
    socket().open();
    await settled();
    expect(socket().requests).toHaveLength(0);
    const stop = presence.subscribe(() => {});
    await settled();
    expect(socket().requests).toHaveLength(1);
    socket().answer("watch", undefined);
    socket().push("presence", { seq: 7, snapshot: [user("ada")] });
    expect(names(presence.state)).toBe("here ada");
    // As StrictMode does: no second call.
    stop();
    const again = presence.subscribe(() => {});
    await settled();
    expect([socket().requests.length, names(presence.state)]).toEqual([1, "here ada"]);
    again();
    await settled();
    presence.subscribe(() => {});
    await settled();
    expect(socket().requests).toHaveLength(2);
    const [, request] = socket().requests;
    socket().refuse(request ?? "", "not you");
    await settled();
    expect(presence.state.error?.message).toBe("not you");
    await session.close();
  });

  test("is asked for once more when news were missed", async () => {
    const { session, presence, socket } = await watched(true);
    presence.subscribe(() => {});
    socket().open();
    await settled();
    socket().answer("watch", undefined);
    socket().push("presence", { seq: 1, snapshot: [user("ada")] });
    for (const seq of [3, 4, 6]) socket().push("presence", diff(seq, { joined: [user("eve")] }));
    await settled();
    expect([socket().requests.length, names(presence.state)]).toEqual([2, "loading ada"]);
    socket().answer("watch", undefined);
    // A part of the snapshot may be missed as well.
    socket().push("presence", { seq: 6, snapshot: [user("ada")], parts: 3 });
    socket().push("presence", { ...diff(6, { joined: [user("eve")] }), part: 3 });
    await settled();
    expect([socket().requests.length, names(presence.state)]).toEqual([3, "loading ada"]);
    socket().refuse("watch", "not now");
    await settled();
    expect(presence.state.error?.message).toBe("not now");
    socket().push("presence", { seq: 7, snapshot: [user("eve")] });
    socket().push("presence", diff(8, { joined: [user("bob")] }));
    await settled();
    expect([socket().requests.length, names(presence.state)]).toEqual([3, "here bob eve"]);
    await session.close();
  });

  test("stays for show while there is no connection", async () => {
    const { session, presence, socket } = await watched();
    presence.subscribe(() => {});
    socket().open();
    socket().push("presence", { seq: 3, snapshot: [user("ada")] });
    socket().end(1006);
    expect(names(presence.state)).toBe("loading ada");
    void session.connect();
    await settled();
    socket(1).open();
    socket(1).push("presence", diff(4, { left: ["ada"] }));
    expect(names(presence.state)).toBe("loading ada");
    socket(1).push("presence", { seq: 0, snapshot: [user("bob")] });
    expect(names(presence.state)).toBe("here bob");
    await session.close();
  });

  test("has the metadata's type", async () => {
    const { session } = await watched();
    const typed = watchPresence<typeof lobby, "presence", { hat: boolean }>(session, "presence");
    expectTypeOf(typed.state.members[0]?.meta).toEqualTypeOf<{ hat: boolean } | undefined>();
    void session.close();
  });
});
