// A client of the npm package `ws`.

import { once } from "node:events";
import WebSocket from "ws";

/** An open connection whose messages can be awaited one by one. */
export async function connect(url, protocols = [], options = {}) {
  const socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...options });
  const arrived = [];
  const awaited = [];
  socket.on("message", (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    if (awaited.length) awaited.shift()(message);
    else arrived.push(message);
  });
  socket.next = () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((resolve) => awaited.push(resolve)));
  socket.ended = once(socket, "close").then(([code, reason]) => ({ code, reason: reason.toString() }));
  socket.ended.catch(() => {}); // reported by whoever awaits it
  await once(socket, "open");
  return socket;
}
