// Where a client connects to.

/** The address of a WebSocket: relative to the page's, if there is one; `http` and `https` are read as `ws` and `wss`. */
export function webSocketUrl(address: string): string {
  const page = globalThis.location?.href;
  let url: URL;
  try {
    url = new URL(address, page === "about:blank" ? undefined : page);
  } catch {
    throw new Error(`${JSON.stringify(address)} is no WebSocket's address: write wss://host/path`);
  }
  url.protocol = url.protocol.replace(/^http/, "ws");
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new Error(`${address} is no WebSocket's address: write wss://host/path`);
  }
  // A WebSocket refuses to be made with one.
  url.hash = "";
  return url.href;
}
