// `@wirelark/client/share`: the tabs of an origin share one socket, which is in a SharedWorker.
//
// Each tab has a session of its own, with its own calls, listeners, timeouts and reconnects. Only the socket is another:
// a part of the worker's, which is there once for each address, format and list of subprotocols.

import type { Contract } from "./contract.js";
import { type Format, json } from "./format.js";
import type { SessionOptions } from "./options.js";
import { mark, VERSION } from "./port-messages.js";
import { TabSocket } from "./tab-socket.js";

export { serveTabs } from "./switchboard.js";

/**
 * Options of a session that shares its socket with those of other tabs. `start` makes the worker, each time anew: a
 * `SharedWorker` of the same address and name is the same one. Where there are none, and where the worker cannot be
 * loaded, each tab has a socket of its own; so it is without https, except on localhost.
 *
 * ```ts
 * const start = () => new SharedWorker(new URL("./socket-worker.ts", import.meta.url), { type: "module" });
 * const session = connect(chat, shared(start, { url: "/chat/lobby" }));
 * ```
 */
export function shared<C extends Contract>(
  start: () => SharedWorker,
  options: SessionOptions<C>,
): SessionOptions<C> {
  // Without locks nobody would notice that a tab was killed.
  if (globalThis.SharedWorker === undefined || globalThis.navigator?.locks === undefined) return options;
  const { format = json(), webSocket = globalThis.WebSocket } = options;
  const tab = crypto.randomUUID().slice(-12);
  return {
    ...options,
    format: marked(format, tab),
    webSocket: class extends TabSocket {
      constructor(url: string, protocols: string[]) {
        const lock = crypto.randomUUID();
        const dial = { version: VERSION, url, protocols, format: format.subprotocol, tab, lock };
        super(dial, start, webSocket);
      }
    },
  };
}

/** The format with ids that say whose they are, so that the worker knows to whom to pass an answer. */
function marked(format: Format, tab: string): Format {
  const ours = mark(tab, "");
  return {
    subprotocol: format.subprotocol,
    encode: (frame) => format.encode({ ...frame, id: mark(tab, (frame as { id: string }).id) }),
    decode(data) {
      const frame = format.decode(data);
      const id = (frame as { readonly id?: unknown } | null | undefined)?.id;
      if (typeof id !== "string" || !id.startsWith(ours)) return frame;
      return { ...(frame as object), id: id.slice(ours.length) };
    },
  };
}
