// Ids of visitors, in browsers that keep them and in those that do not.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

/** The module as a page that is loaded anew has it. */
async function load() {
  vi.resetModules();
  return (await import("../src/visitor.js")).visitorId;
}

/** What pages of one origin keep. */
function storage() {
  const items = new Map<string, string>();
  return {
    items,
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
  };
}

const ID = /^[0-9a-f]{32}$/;

beforeEach(() => void vi.stubGlobal("document", {}));
afterEach(() => void vi.unstubAllGlobals());

describe("an id", () => {
  test("is the same after a reload, and in each tab", async () => {
    vi.stubGlobal("localStorage", storage());
    const first = (await load())();
    expect(first).toMatch(ID);
    expect((await load())()).toBe(first);
    vi.stubGlobal("localStorage", storage());
    const elsewhere = (await load())();
    expect(elsewhere).toMatch(ID);
    expect(elsewhere).not.toBe(first);
  });

  test("has a name: with another it is another one", async () => {
    const kept = storage();
    vi.stubGlobal("localStorage", kept);
    const visitorId = await load();
    expect(visitorId("team.visitor")).not.toBe(visitorId());
    expect([...kept.items.keys()]).toEqual(["team.visitor", "wirelark.visitor"]);
    expect((await load())("team.visitor")).toBe(visitorId("team.visitor"));
  });

  test("that somebody else wrote there is not sent anywhere", async () => {
    for (const other of ["", "admin", "../../x", "A".repeat(32), `${"a".repeat(32)}\n`, "a".repeat(33)]) {
      const kept = storage();
      kept.setItem("wirelark.visitor", other);
      vi.stubGlobal("localStorage", kept);
      const id = (await load())();
      expect(id, other).toMatch(ID);
      expect(id).not.toBe(other);
      expect(kept.items.get("wirelark.visitor")).toBe(id);
    }
  });

  test("lasts as long as the page where nothing is kept", async () => {
    const forbidden = () => {
      throw new Error("SecurityError");
    };
    const full = { ...storage(), setItem: forbidden };
    for (const localStorage of [undefined, { getItem: forbidden, setItem: forbidden }, full]) {
      vi.stubGlobal("localStorage", localStorage);
      const visitorId = await load();
      expect(visitorId()).toMatch(ID);
      expect(visitorId()).toBe(visitorId());
      expect(visitorId("other")).not.toBe(visitorId());
    }
  });

  test("is nobody's where pages are rendered for many", async () => {
    vi.stubGlobal("document", undefined);
    vi.stubGlobal("localStorage", storage());
    const visitorId = await load();
    expect(visitorId()).toMatch(ID);
    expect(visitorId()).not.toBe(visitorId());
  });

  test("needs no more of the browser than it has without https", async () => {
    vi.stubGlobal("crypto", { getRandomValues: (bytes: Uint8Array) => bytes.fill(10) });
    expect((await load())()).toBe("0a".repeat(16));
  });
});
