// Bun's own server, as its documentation shows it, with its native publish; calls are JSON-RPC. Run by bun, not by
// node.
import { answer } from "./jsonrpc.js";
import { announce, listenAddress } from "./listen.js";

const server = Bun.serve({
  ...listenAddress(),
  fetch(request, server) {
    const path = new URL(request.url).pathname;
    return server.upgrade(request, { data: { path } }) ? undefined : new Response(null, { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    // The default of 1 MiB would drop messages of a burst of 16 x 16 KiB to a client that is slow for a moment.
    backpressureLimit: 16 * 1024 * 1024,
    open(socket) {
      if (socket.data.path === "/fan") socket.subscribe("fan");
    },
    message(socket, data) {
      if (socket.data.path === "/fan") server.publish("fan", data);
      else if (socket.data.path === "/call") socket.send(answer(data));
      else socket.send(data);
    },
  },
});

announce(server.hostname, server.port);
