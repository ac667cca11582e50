// The `ws` package, as its README shows it. Buffers are sent on with the kind they came with; calls are JSON-RPC.
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { answer } from "./jsonrpc.js";
import { listen } from "./listen.js";

const server = createServer();
const echo = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const fan = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const call = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const routes = { "/echo": echo, "/fan": fan, "/call": call };

echo.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});

fan.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => {
    for (const client of fan.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});

call.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (data) => socket.send(answer(data.toString())));
});

server.on("upgrade", (request, socket, head) => {
  const route = routes[request.url] ?? echo;
  route.handleUpgrade(request, socket, head, (client) => route.emit("connection", client, request));
});

listen(server);
