// Where a client connects to.

/** The address of a WebSocket: relative to the page's, if there is one; `http` and `https` are read as `ws` and `wss`. */
export function webSocketUrl(address: string): string {
  let url: URL | undefined;
  try {
    url = new URL(address, globalThis.location?.href);
    url.protocol = url.protocol.replace(/^http/, "ws");
    // A WebSocket refuses to be made with one.
    url.hash = "";
  } catch {
    // Said below, as of addresses that are none of a WebSocket.
  }
  if (url !== undefined && /^wss?:$/.test(url.protocol)) return url.href;
  throw new Error(`${address} is no WebSocket's address: write wss://host/path`);
}
