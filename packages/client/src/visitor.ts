// `@wirelark/client/visitor`: who somebody is who has not signed in.

/** Ids of pages whose browser keeps nothing. */
const kept = new Map<string, string>();

/**
 * An id for whoever uses this browser: random, the same in all tabs of the origin and after each reload, until the
 * browser's storage is cleared. Where nothing can be stored it lasts as long as the page. It belongs into the address or
 * the subprotocols of a session, and nowhere else: who knows it can pass for the visitor.
 *
 * Outside a page, as when one is rendered on a server, it is another one each time: many visitors are rendered there.
 */
export function visitorId(key = "wirelark.visitor"): string {
  if (globalThis.document === undefined) return random();
  const id = stored(key) ?? kept.get(key) ?? random();
  kept.set(key, id);
  try {
    localStorage.setItem(key, id);
  } catch {
    // It is full, or forbidden.
  }
  return id;
}

function stored(key: string): string | undefined {
  try {
    const id = localStorage.getItem(key) ?? "";
    // Other scripts, and visitors, can write what they like.
    return /^[0-9a-f]{32}$/.test(id) ? id : undefined;
  } catch {
    return undefined;
  }
}

/** 128 random bits. `randomUUID` is not there without https. */
function random(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
