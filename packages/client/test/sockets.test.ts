// Real sockets, and servers that behave badly at each step.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { connect, type SessionOptions } from "@wirelark/client";
import { afterEach, describe, expect, test } from "vitest";
import { type WebSocket as Peer, WebSocket, WebSocketServer } from "ws";
import { openSocket } from "../src/raw.js";
import { chat, recorder, rejection } from "./chat.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function listen(server: Server): Promise<string> {
  const sockets: Socket[] = [];
  server.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that does what `serve` says with each WebSocket. */
async function webSockets(serve: (peer: Peer) => void, agrees = true): Promise<string> {
  const http = createHttpServer();
  const handleProtocols = (offered: Set<string>) => (agrees ? ([...offered][0] ?? false) : false);
  new WebSocketServer({ server: http, handleProtocols }).on("connection", (peer) => {
    peer.on("error", () => {});
    serve(peer);
  });
  return listen(http);
}

function session(url: string, options: Partial<SessionOptions<typeof chat>> = {}) {
  const record = recorder();
  const it = connect(chat, { url, webSocket: WebSocket, reconnect: false, ...record.options, ...options });
  cleanups.push(() => void it.close());
  return { ...record, session: it };
}

/** Answers every `count`. */
function answering(peer: Peer): void {
  peer.on("message", (data) => {
    const { id, rpc } = JSON.parse(String(data));
    peer.send(JSON.stringify({ socka: "serverResponse", v: 1, id, rpc, body: "four" }));
  });
}

describe("a server that", () => {
  test("is not there", async () => {
    const gone = createServer();
    const url = await listen(gone);
    cleanups.pop()?.();
    const { session: it } = session(url);
    const error = await rejection(it.call.count());
    expect(error).toMatchObject({ name: "DisconnectedError", sent: false, closed: { by: "network" } });
    expect(error.message).toContain("ECONNREFUSED");
  });

  test("accepts and says nothing", async () => {
    const { session: it } = session(await listen(createServer()), { connectTimeout: 100 });
    expect((await rejection(it.connect())).message).toContain("not made in time");
  });

  test("hangs up during the handshake", async () => {
    const { session: it } = session(await listen(createServer((socket) => void socket.destroy())));
    expect((await rejection(it.call.count())).name).toBe("DisconnectedError");
  });

  test("speaks something else", async () => {
    const other = createServer((socket) => void socket.end("220 mail.example.com ESMTP\r\n"));
    expect((await rejection(session(await listen(other)).session.connect())).name).toBe("DisconnectedError");
  });

  test("refuses the upgrade", async () => {
    const http = createHttpServer((_, response) => response.writeHead(403).end());
    const url = await listen(http);
    expect((await rejection(session(url).session.call.count())).message).toContain("403");
    const raw = openSocket({ url, webSocket: WebSocket });
    raw.send("never");
    await new Promise<void>((resolve) => raw.subscribe(resolve));
    expect(raw.state).toMatchObject({ status: "closed", error: { message: expect.stringContaining("403") } });
  });

  test("agrees to nothing", async () => {
    const { session: it } = session(await webSockets(() => {}, false));
    expect((await rejection(it.call.count())).message).toContain("subprotocol");
  });

  test("sends what is no frame of a WebSocket", async () => {
    const url = await webSockets((peer) => {
      peer.on("message", () =>
        (peer as unknown as { _socket: Socket })._socket.write(Buffer.alloc(20, 0xff)),
      );
    });
    const { session: it } = session(url);
    expect(await rejection(it.call.count())).toMatchObject({ name: "DisconnectedError", sent: true });
    expect(it.status).toBe("closed");
  });

  test("breaks off in the middle of a call, and is back", async () => {
    let connections = 0;
    const url = await webSockets((peer) => {
      connections += 1;
      if (connections === 1) peer.on("message", () => peer.terminate());
      else answering(peer);
    });
    const { session: it, statuses } = session(url, { reconnect: { initial: 1 } });
    const error = await rejection(it.call.count());
    expect(error).toMatchObject({
      name: "DisconnectedError",
      sent: true,
      closed: { code: 1006, by: "network" },
    });
    expect(await it.call.count()).toBe(4);
    expect(statuses).toEqual(["idle", "connecting", "open", "reconnecting", "open"]);
  });
});

describe("a client that", () => {
  test("closes before it is connected leaves nothing behind", async () => {
    const url = await listen(createServer());
    const { session: it } = session(url, { reconnect: {} });
    const call = rejection(it.call.count());
    await it.close();
    expect((await call).name).toBe("ClosedError");
    void it.connect();
    await new Promise(setImmediate);
    await it.close();
    expect(it.status).toBe("closed");
  });

  test("closes and connects at once has a new connection, and its answers", async () => {
    let connections = 0;
    const url = await webSockets((peer) => {
      connections += 1;
      answering(peer);
    });
    const { session: it } = session(url);
    expect(await it.call.count()).toBe(4);
    const closed = it.close();
    const again = it.connect();
    await Promise.all([closed, again]);
    expect(await it.call.count()).toBe(4);
    expect(connections).toBe(2);
  });

  test("is given a socket of somebody else's uses it", async () => {
    const url = await webSockets(answering);
    const socket = new WebSocket(url);
    const it = connect(chat, { socket });
    cleanups.push(() => void it.close());
    expect(await it.call.count()).toBe(4);
    await it.close();
    expect(socket.readyState).toBe(WebSocket.CLOSED);
  });
});
