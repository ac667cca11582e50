// A wire to a server that can be cut.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Leads from a port of its own to `port`. To a page it is the server, whose address it is told. */
export async function startWire(port) {
  const sockets = new Set();
  const wire = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const end of [near, far]) {
      sockets.add(end);
      end.on("error", () => {});
      end.on("close", () => {
        sockets.delete(end);
        near.destroy();
        far.destroy();
      });
    }
  });
  wire.listen(0, "127.0.0.1");
  await once(wire, "listening");
  return {
    port: wire.address().port,
    /** Cuts every connection, as a network does. */
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      this.cut();
      wire.close();
      await once(wire, "close");
    },
  };
}
