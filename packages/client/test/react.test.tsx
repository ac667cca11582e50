// @vitest-environment happy-dom
// Components, rendered as applications do: strictly, on a server, and more than once.

import { type Session, unchecked } from "@wirelark/client";
import { act, type ReactNode, StrictMode, useEffect } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import type { Member, News } from "../src/presence.js";
import type { RawOptions } from "../src/raw.js";
import {
  SessionProvider,
  type UsedCall,
  type UsedSocket,
  useCall,
  usePresence,
  usePush,
  useSession,
  useSocket,
  useStatus,
} from "../src/react.js";
import { type FakeSocket, fakeWebSocket } from "../src/testing.js";
import { chat } from "./chat.js";

let root: Root | undefined;
let complaints: unknown[][];

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  complaints = vi.spyOn(console, "error").mockImplementation(() => {}).mock.calls;
});
afterEach(async () => {
  await unmount();
  // Of React as well: a store that changes in each render, or pages that differ.
  expect(complaints).toEqual([]);
  vi.unstubAllGlobals();
});

async function render(node: ReactNode) {
  if (root === undefined) {
    document.body.innerHTML = "<main></main>";
    root = createRoot(document.querySelector("main") as HTMLElement);
  }
  await act(async () => root?.render(<StrictMode>{node}</StrictMode>));
}

async function unmount() {
  await act(async () => root?.unmount());
  root = undefined;
}

const text = () => document.body.textContent;
const on = (what: () => void) => act(async () => what());

function chatOptions() {
  const fake = fakeWebSocket();
  return { fake, options: { url: "ws://host/chat", webSocket: fake.webSocket } };
}

describe("a session", () => {
  test("is shared by all components inside, and one connection in StrictMode", async () => {
    const { fake, options } = chatOptions();
    const sessions = new Set<Session<typeof chat>>();
    const Part = () => {
      sessions.add(useSession(chat));
      return <i>{useStatus(chat)} </i>;
    };
    const page = (
      <SessionProvider contract={chat} options={options}>
        <Part />
        <Part />
      </SessionProvider>
    );
    await render(page);
    expect([fake.sockets.length, text()]).toEqual([1, "connecting connecting "]);
    await on(() => fake.sockets[0]?.open());
    expect(text()).toBe("open open ");
    await on(() => fake.sockets[0]?.end(1008));
    expect(text()).toBe("closed closed ");
    await render(page);
    expect([fake.sockets.length, sessions.size]).toEqual([1, 1]);
  });

  test("closes when its provider goes, and another comes with another key", async () => {
    const { fake, options } = chatOptions();
    const statuses: string[] = [];
    const page = (key: string) => (
      <SessionProvider
        key={key}
        contract={chat}
        options={{ ...options, onStatus: (it) => statuses.push(`${key} ${it}`) }}>
        {key}
      </SessionProvider>
    );
    await render(page("a"));
    await on(() => fake.sockets[0]?.open());
    await render(page("b"));
    expect(fake.sockets).toHaveLength(2);
    expect(fake.sockets[0]?.closedWith).toEqual({ code: 1000, reason: "" });
    await unmount();
    expect(fake.sockets[1]?.readyState).toBeGreaterThan(1);
    await Promise.resolve();
    expect(statuses.slice(-4)).toEqual(["b idle", "b connecting", "a closed", "b closed"]);
  });

  test("keeps the calls that are made while StrictMode mounts twice", async () => {
    const { fake, options } = chatOptions();
    const answers: unknown[] = [];
    const Caller = () => {
      const session = useSession(chat);
      useEffect(() => {
        session.call.count().then(
          (answer) => answers.push(answer),
          (error) => answers.push(error),
        );
      }, [session]);
      return null;
    };
    await render(
      <SessionProvider contract={chat} options={options}>
        <Caller />
      </SessionProvider>,
    );
    await on(() => {
      const socket = fake.sockets[0] as FakeSocket;
      socket.open();
      for (const request of socket.requests) socket.answer(request, "four");
    });
    expect(answers).toEqual([4, 4]);
  });

  test("waits to be told, if that is wanted", async () => {
    const { fake, options } = chatOptions();
    let session: Session<typeof chat> | undefined;
    const Part = () => {
      session = useSession(chat);
      return useStatus(chat);
    };
    await render(
      <SessionProvider contract={chat} options={{ ...options, autoConnect: false }}>
        <Part />
      </SessionProvider>,
    );
    expect([fake.sockets.length, text()]).toEqual([0, "idle"]);
    await on(() => void session?.connect());
    expect([fake.sockets.length, text()]).toEqual([1, "connecting"]);
  });

  test("is that of the contract, also among those of others", async () => {
    const other = { name: "Other", pushes: { tock: { body: unchecked<number>() } } } as const;
    const { options } = chatOptions();
    const Names = () => `${useSession(chat).contract.name} ${useSession(other).contract.name}`;
    await render(
      <SessionProvider contract={chat} options={options}>
        <SessionProvider contract={other} options={options}>
          <Names />
        </SessionProvider>
      </SessionProvider>,
    );
    expect(text()).toBe("Chat Other");
    expect(() => renderToString(<Names />)).toThrow("no <SessionProvider> of the contract Chat");
  });

  test("is rendered on a server, and connects on the page", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const { fake, options } = chatOptions();
    const Part = () => <b>{useStatus(chat)}</b>;
    const page = (
      <StrictMode>
        <SessionProvider contract={chat} options={{ ...options, url: "/chat" }}>
          <Part />
        </SessionProvider>
      </StrictMode>
    );
    document.body.innerHTML = `<main>${renderToString(page)}</main>`;
    expect([text(), fake.sockets.length]).toEqual(["idle", 0]);
    await act(async () => {
      root = hydrateRoot(document.querySelector("main") as HTMLElement, page);
    });
    expect([text(), fake.sockets[0]?.url]).toEqual(["connecting", `ws://${location.host}/chat`]);
  });
});

test("a push reaches the listener of the latest render, once", async () => {
  const { fake, options } = chatOptions();
  const heard: string[] = [];
  const Listener = ({ who }: { who: string }) => {
    usePush(chat, "said", (body) => {
      expectTypeOf(body).toEqualTypeOf<{ text: string }>();
      heard.push(`${who} ${body.text}`);
    });
    return null;
  };
  const page = (listener: ReactNode) => (
    <SessionProvider contract={chat} options={options}>
      {listener}
    </SessionProvider>
  );
  await render(page(<Listener who="first" />));
  const socket = fake.sockets[0] as FakeSocket;
  socket.open();
  socket.push("said", { text: "a" });
  await render(page(<Listener who="second" />));
  socket.push("said", { text: "b" });
  await render(page(null));
  socket.push("said", { text: "c" });
  expect(heard).toEqual(["first a", "second b"]);
});

test("a call says what became of it, and the latest counts", async () => {
  const { fake, options } = chatOptions();
  let used: UsedCall<[input: { text: string }], { text: string }> | undefined;
  const Caller = () => {
    const say = useCall(chat, "say");
    expectTypeOf(say.data).toEqualTypeOf<{ text: string } | undefined>();
    expectTypeOf(say.call).toBeCallableWith({ text: "a" }, { timeout: 1 });
    used = say;
    return [say.pending ? "pending" : "idle", say.data?.text, say.error?.message].join("|");
  };
  await render(
    <SessionProvider contract={chat} options={options}>
      <Caller />
    </SessionProvider>,
  );
  const socket = fake.sockets[0] as FakeSocket;
  socket.open();
  expect(text()).toBe("idle||");
  const { call } = used as NonNullable<typeof used>;
  await on(() => void call({ text: "1" }));
  expect(text()).toBe("pending||");
  await on(() => socket.answer("say", { text: "one" }));
  expect(text()).toBe("idle|one|");
  await on(() => void call({ text: "2" }));
  await on(() => socket.refuse("say", "nope"));
  expect(text()).toBe("idle|one|nope");
  await on(() => {
    void call({ text: "3" });
    void call({ text: "4" });
  });
  expect(text()).toBe("pending|one|");
  const [third, fourth] = socket.requests.slice(-2);
  await on(() => socket.answer(fourth ?? "", { text: "four" }));
  await on(() => socket.answer(third ?? "", { text: "three" }));
  expect(text()).toBe("idle|four|");
  expect(used?.call).toBe(call);
});

describe("a raw socket", () => {
  const Raw = (props: { options: RawOptions; use?: (socket: UsedSocket) => void }) => {
    const socket = useSocket(props.options);
    props.use?.(socket);
    return `${socket.status} ${socket.lastMessage ?? "-"} ${socket.error?.message ?? "-"}`;
  };

  test("is one connection in StrictMode, and ends with its component", async () => {
    const fake = fakeWebSocket();
    const heard: string[] = [];
    let used: UsedSocket | undefined;
    const page = (who: string, more: Partial<RawOptions> = {}) => (
      <Raw
        options={{
          url: (key) => `ws://host/${key}`,
          key: "a",
          webSocket: fake.webSocket,
          onMessage: (message) => heard.push(`${who} ${message}`),
          ...more,
        }}
        use={(socket) => {
          used = socket;
        }}
      />
    );
    await render(page("first"));
    expect([text(), fake.sockets.length]).toEqual(["connecting - -", 1]);
    expect(used?.send("early")).toBe(true);
    const first = fake.sockets[0] as FakeSocket;
    await on(() => first.open());
    expect([text(), first.sent]).toEqual(["open - -", ["early"]]);
    await on(() => first.receive("one"));
    await render(page("second"));
    await on(() => first.receive("two"));
    expect([text(), heard]).toEqual(["open two -", ["first one", "second two"]]);

    await render(page("second", { key: "b" }));
    expect([text(), fake.sockets.map(({ url }) => url)]).toEqual([
      "connecting two -",
      ["ws://host/a", "ws://host/b"],
    ]);
    await on(() => fake.sockets[1]?.fail("refused"));
    expect(text()).toBe("closed two refused");
    await on(() => used?.open());
    expect(text()).toBe("connecting two -");
    await on(() => used?.close(4000, "enough"));
    expect(text()).toBe("closed two -");
    await render(page("second", { key: "b", enabled: false }));
    await render(page("second", { key: "b" }));
    await on(() => fake.sockets.at(-1)?.open());
    expect(text()).toBe("open two -");
    const last = fake.sockets.at(-1);
    await unmount();
    expect(last?.closedWith).toEqual({ code: 1000, reason: "" });
  });

  test("is rendered on a server as on the page", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const fake = fakeWebSocket();
    const page = <Raw options={{ url: "ws://host/", webSocket: fake.webSocket }} />;
    document.body.innerHTML = `<main>${renderToString(page)}</main>`;
    expect(text()).toBe("connecting - -");
    await act(async () => {
      root = hydrateRoot(document.querySelector("main") as HTMLElement, page);
    });
    await on(() => fake.sockets[0]?.open());
    expect(text()).toBe("open - -");
    expect(renderToString(<Raw options={{ url: "/x", key: null }} />)).toBe("closed - -");
  });
});

describe("presence", () => {
  const lobby = {
    name: "Lobby",
    calls: { watch: {} },
    pushes: { presence: { body: unchecked<News>() } },
  } as const;
  const snapshot = (...users: string[]) => ({
    seq: 0,
    snapshot: users.map((user) => ({ user, meta: null })),
  });

  function Names({ of = "", self }: { of?: string; self?: string }) {
    const { members, me, loading } = usePresence(lobby, "presence", {
      watch: (session) => session.call.watch(),
      self,
      sort: byNameDown,
    });
    const names = members.map(({ user }) => user).join(" ");
    return <i>{`${of}${loading ? "loading " : ""}${names}${me ? `, I am ${me.user}` : ""};`}</i>;
  }
  const byNameDown = (a: Member, b: Member) => ((a.user ?? "") < (b.user ?? "") ? 1 : -1);

  test("is the same list in all components, asked for once, and at once in those that come later", async () => {
    const fake = fakeWebSocket();
    const page = (parts: ReactNode) => (
      <SessionProvider contract={lobby} options={{ url: "ws://host/lobby", webSocket: fake.webSocket }}>
        {parts}
      </SessionProvider>
    );
    const [one, other] = [<Names key="1" of="1: " self="ada" />, <Names key="2" of="2: " />];
    await render(page(one));
    expect(text()).toBe("1: loading ;");
    const socket = () => fake.sockets.at(-1) as FakeSocket;
    await on(() => socket().open());
    expect(socket().requests).toHaveLength(1);
    await on(() => socket().push("presence", snapshot("ada", "bob")));
    expect(text()).toBe("1: bob ada, I am ada;");
    await render(page([one, other]));
    expect([text(), socket().requests.length]).toEqual(["1: bob ada, I am ada;2: bob ada;", 1]);

    // A reconnect: the list stays until there is a new one.
    await on(() => socket().end(1006));
    expect(text()).toBe("1: loading bob ada, I am ada;2: loading bob ada;");
    await render(page(other));
    expect(text()).toBe("2: loading bob ada;");
    await unmount();
  });

  test("is exact under a storm of reconnects", async () => {
    const fake = fakeWebSocket();
    let session: Session<typeof lobby> | undefined;
    const Part = () => {
      session = useSession(lobby);
      return null;
    };
    await render(
      <SessionProvider contract={lobby} options={{ url: "ws://host/lobby", webSocket: fake.webSocket }}>
        <Part />
        <Names />
      </SessionProvider>,
    );
    for (let round = 0; round < 20; round++) {
      await on(() => void session?.connect());
      const socket = fake.sockets.at(-1) as FakeSocket;
      await on(() => socket.open());
      expect(socket.requests).toHaveLength(1);
      await on(() => {
        // Everybody of the round before is gone, and not mentioned by anybody.
        socket.push("presence", snapshot(`a${round}`, `b${round}`));
        socket.push("presence", {
          seq: 1,
          joined: [{ user: `c${round}`, meta: 1 }],
          updated: [],
          left: [{ user: `a${round}` }],
        });
      });
      expect(text()).toBe(`c${round} b${round};`);
      await on(() => socket.end(1006));
      expect(text()).toBe(`loading c${round} b${round};`);
      // What still comes of a connection that has ended is not heard.
      await on(() => socket.push("presence", snapshot("ghost")));
      expect(text()).toBe(`loading c${round} b${round};`);
    }
  });
});
