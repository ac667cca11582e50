// The worker's side of shared sockets: it holds the sockets and passes on what comes, each answer to the tab that asked
// and everything else to all. Of frames it reads nothing but the id.

import { textOf } from "./errors.js";
import { type Data, type Format, json } from "./format.js";
import { type Dial, type ToTab, type ToWorker, tabOf, VERSION } from "./port-messages.js";
import { holdLock, whenReleased } from "./web-locks.js";
import { OPEN } from "./web-socket.js";

/** With no more than this waiting in a socket its tabs are told that all they sent has left. */
const BUFFERED_BYTES = 16 * 1024;
/** How often, in milliseconds, a socket with more is looked at: none says when it has less. */
const LOOK_AGAIN = 50;

/**
 * What a worker's script calls, once and at once: from then on tabs can have a part of the worker's sockets. It is given
 * the formats of their sessions, which is JSON unless said.
 */
export function serveTabs(...formats: readonly Format[]): void {
  const known = formats.length > 0 ? formats : [json()];
  const lines = new Map<string, Line>();
  const lock = crypto.randomUUID();
  const forever = new AbortController().signal;
  const held = holdLock(lock, forever);

  function lineFor({ version, url, protocols, format: name }: Dial): Line {
    const format = known.find(({ subprotocol }) => subprotocol === name);
    if (format === undefined) throw new Error(`\`serveTabs\` was not given the format of \`${name}\``);
    if (version !== VERSION) throw new Error("the worker is of another version, until all tabs are closed");
    const key = JSON.stringify([url, protocols, name]);
    const present = lines.get(key);
    if (present !== undefined) return present;
    const line = new Line(new WebSocket(url, [...protocols]), format, lock, () => {
      if (lines.get(key) === line) lines.delete(key);
    });
    lines.set(key, line);
    return line;
  }

  function serve(port: MessagePort): void {
    let leave = (_code?: number, _reason?: string): void => {};
    let send = (_data: Data): void => {};
    const tell = (message: ToTab) => port.postMessage(message);
    const dial = (dial: Dial) => {
      tell({ type: "heard" });
      try {
        const line = lineFor(dial);
        const tab: Tab = { id: dial.tab, tell, unsent: 0 };
        leave = (code, reason) => line.leave(tab, code, reason);
        send = (data) => line.send(tab, data);
        line.join(tab);
        // Closed, reloaded or killed: a tab need not say goodbye.
        whenReleased(dial.lock, forever, () => leave());
      } catch (error) {
        tell({ type: "refused", why: textOf(error) });
      }
    };
    const handle = (message: ToWorker) => {
      if (message.type === "dial") dial(message.dial);
      else if (message.type === "send") send(message.data);
      else leave(message.code, message.reason);
    };
    // Not before the lock is held: a tab takes one that nobody holds for that of a worker that is gone.
    port.onmessage = ({ data }) => void held.then(() => handle(data));
  }

  addEventListener("connect", (event) => {
    for (const port of (event as MessageEvent).ports) serve(port);
  });
}

/** A tab that has a part of a socket. */
interface Tab {
  readonly id: string;
  readonly tell: (message: ToTab) => void;
  /** How much it has sent and not been told of yet. */
  unsent: number;
}

/** A socket and the tabs that have a part of it. */
class Line {
  readonly #socket: WebSocket;
  readonly #format: Format;
  readonly #lock: string;
  /** Says that nobody may join any more. */
  readonly #leaving: () => void;
  readonly #tabs = new Set<Tab>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocket, format: Format, lock: string, leaving: () => void) {
    this.#socket = socket;
    this.#format = format;
    this.#lock = lock;
    this.#leaving = leaving;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      for (const tab of this.#tabs) this.#welcome(tab);
    });
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    socket.addEventListener("close", ({ code, reason }) => this.#end(code, reason));
  }

  join(tab: Tab): void {
    this.#tabs.add(tab);
    if (this.#socket.readyState === OPEN) this.#welcome(tab);
  }

  #welcome(tab: Tab): void {
    tab.tell({ type: "open", protocol: this.#socket.protocol, lock: this.#lock });
  }

  /** A tab gives up its part. With the last one the socket is closed, and that tab hears of its end. */
  leave(tab: Tab, code = 1000, reason = ""): void {
    if (!this.#tabs.has(tab)) return;
    if (this.#tabs.size === 1) {
      this.#leaving();
      this.#socket.close(code, reason);
    } else {
      this.#tabs.delete(tab);
      tab.tell({ type: "close", code, reason });
    }
  }

  send(tab: Tab, data: Data): void {
    if (!this.#tabs.has(tab)) return;
    this.#socket.send(data);
    tab.unsent += data.length;
    this.#acknowledge();
  }

  #acknowledge(): void {
    clearTimeout(this.#timer);
    if (this.#socket.bufferedAmount > BUFFERED_BYTES) {
      this.#timer = setTimeout(() => this.#acknowledge(), LOOK_AGAIN);
      return;
    }
    for (const tab of this.#tabs) {
      if (tab.unsent > 0) tab.tell({ type: "sent", length: tab.unsent });
      tab.unsent = 0;
    }
  }

  #receive(data: unknown): void {
    const owner = this.#ownerOf(data);
    for (const tab of this.#tabs) {
      if (owner === undefined || owner === tab.id) tab.tell({ type: "message", data });
    }
  }

  /** The tab an answer is for; `undefined` for what is for all of them. */
  #ownerOf(data: unknown): string | undefined {
    try {
      const { id } = this.#format.decode(data) as { readonly id?: unknown };
      return typeof id === "string" ? tabOf(id) : undefined;
    } catch {
      // What cannot be read each session reports as it always does.
      return undefined;
    }
  }

  #end(code: number, reason: string): void {
    clearTimeout(this.#timer);
    this.#leaving();
    for (const tab of this.#tabs) tab.tell({ type: "close", code, reason });
    this.#tabs.clear();
  }
}
