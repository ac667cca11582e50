// A site with the TypeScript client, as it is published, in front of a server under test: to a page they are one origin.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";

const dist = fileURLToPath(new URL("../../packages/client/dist/", import.meta.url));

/**
 * Serves `files`, the client's under `/client/`, and passes WebSockets on to `server`. A page gets an import map, so that
 * its scripts can import the client by its names.
 */
export async function startSite(server, files) {
  assert.ok(existsSync(`${dist}index.js`), "the client is not built: run `npm ci && npm run build` in packages/client");
  const names = ["share", "msgpack", "raw", "react", "schema", "testing", "visitor"];
  const imports = Object.fromEntries(names.map((name) => [`@wirelark/client/${name}`, `/client/${name}.js`]));
  const map = JSON.stringify({ imports: { "@wirelark/client": "/client/index.js", ...imports } });

  const http = createServer(({ url }, response) => {
    const { pathname } = new URL(url, "http://site");
    if (pathname === "/favicon.ico") return response.writeHead(204).end();
    const built = /^\/client\/([\w-]+\.js)$/.exec(pathname)?.[1];
    const text = built && existsSync(dist + built) ? readFileSync(dist + built, "utf8") : files[pathname];
    if (text === undefined) return response.writeHead(404).end();
    const isScript = pathname.endsWith(".js");
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html", "cache-control": "no-store" });
    response.end(isScript ? text : `<!doctype html><title>a page</title><script type="importmap">${map}</script>${text}`);
  });

  const sockets = new Set();
  http.on("upgrade", ({ method, url, rawHeaders }, socket) => {
    const [host, port] = server.host.split(":");
    const upstream = connect(Number(port), host);
    const headers = [];
    for (let at = 0; at < rawHeaders.length; at += 2) headers.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`);
    upstream.write(`${method} ${url} HTTP/1.1\r\n${headers.join("")}\r\n`);
    socket.pipe(upstream).pipe(socket);
    for (const end of [socket, upstream]) {
      sockets.add(end);
      end.on("error", () => {});
      end.on("close", () => {
        sockets.delete(end);
        socket.destroy();
        upstream.destroy();
      });
    }
  });

  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    origin: `http://127.0.0.1:${http.address().port}`,
    /** Cuts every connection, as a network does. */
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      this.cut();
      http.closeAllConnections();
      http.close();
      await once(http, "close");
    },
  };
}
