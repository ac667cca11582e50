// `@wirelark/client/testing`: sockets that do what a test says, for tests of what is built on a session.

import type { Format } from "./format.js";
import type { WebSocketConstructor } from "./web-socket.js";

type Handler = (event: never) => void;

/** A call or send, as the client wrote it. */
export interface FakeRequest {
  readonly id: string;
  readonly rpc: string;
  readonly body: unknown;
}

/** Frames as JSON, so that this entry needs nothing of the others at run time. */
const JSON_FRAMES: Pick<Format, "encode" | "decode"> = {
  encode: JSON.stringify,
  decode: (data) => JSON.parse(String(data)),
};

/**
 * A WebSocket that is not connected to anything. What the server would do, the test does: `open`, `receive`, `end`,
 * `fail`, and for contracts `answer`, `refuse` and `push`.
 */
export class FakeSocket {
  readonly url: string;
  readonly protocols: readonly string[];
  readyState = 0;
  protocol = "";
  bufferedAmount = 0;
  binaryType = "blob";

  /** What the client sent. */
  readonly sent: (string | Uint8Array<ArrayBuffer>)[] = [];
  /** How the client closed it, if it did. */
  closedWith: { readonly code: number | undefined; readonly reason: string | undefined } | undefined;
  /** Whether the server answers the client's close, which it does a moment later unless this is `false`. */
  answersClose = true;

  readonly #handlers = new Map<string, Handler[]>();
  readonly #format: Pick<Format, "encode" | "decode">;

  constructor(
    url: string,
    protocols: readonly string[] = [],
    format: Pick<Format, "encode" | "decode"> = JSON_FRAMES,
  ) {
    this.url = url;
    this.protocols = protocols;
    this.#format = format;
  }

  addEventListener(type: string, handler: Handler): void {
    this.#handlers.set(type, [...(this.#handlers.get(type) ?? []), handler]);
  }

  #event(type: string, event: object): void {
    for (const handler of this.#handlers.get(type) ?? []) (handler as (event: object) => void)(event);
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.readyState === 0) throw new Error("the socket is still connecting");
    // As real sockets, which say nothing once they are closing.
    if (this.readyState === 1) this.sent.push(data);
  }

  close(code?: number, reason?: string): void {
    if (this.readyState > 1) return;
    const connecting = this.readyState === 0;
    this.readyState = 2;
    this.closedWith = { code, reason };
    // Real sockets call an attempt that is given up a failed one.
    if (connecting) this.error("closed before it was open");
    if (this.answersClose) queueMicrotask(() => this.end(code ?? 1005, reason));
  }

  /** The server accepts, and agrees to `protocol`: to the first that was offered, unless another is given. */
  open(protocol: string = this.protocols[0] ?? ""): void {
    if (this.readyState !== 0) throw new Error("only a socket that is connecting can be opened");
    this.readyState = 1;
    this.protocol = protocol;
    this.#event("open", {});
  }

  /** A message arrives: text, or bytes. It still may after the client has closed. */
  receive(data: string | ArrayBuffer): void {
    if (this.readyState === 1 || this.readyState === 2) this.#event("message", { data });
  }

  /** The connection ends: by the server's close frame, or without one, which is 1006. */
  end(code = 1006, reason = ""): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#event("close", { code, reason, wasClean: code !== 1006 });
  }

  /** The connection breaks, or is refused: an error, and then the end. */
  fail(message = ""): void {
    this.error(message);
    this.end();
  }

  /** An error that is not followed by the end, as it should be: so does Node 22 when an upgrade is refused. */
  error(message = ""): void {
    if (this.readyState !== 3) this.#event("error", { message });
  }

  /** The calls and sends of the client, in order. */
  get requests(): readonly FakeRequest[] {
    return this.sent.map((data) => this.#format.decode(data) as FakeRequest);
  }

  /** The latest call or send of this name. */
  request(rpc: string): FakeRequest {
    const found = this.requests.filter((request) => request.rpc === rpc).at(-1);
    if (found === undefined) throw new Error(`the client has not sent ${rpc}`);
    return found;
  }

  /** Answers the latest call of this name, or this one. */
  answer(call: string | FakeRequest, body?: unknown): void {
    const { id, rpc } = typeof call === "string" ? this.request(call) : call;
    this.frame({ socka: "serverResponse", v: 1, id, rpc, body });
  }

  /** Says that the latest call or send of this name, or this one, has failed. */
  refuse(call: string | FakeRequest, error: string, more: { code?: string; data?: unknown } = {}): void {
    const { id, rpc } = typeof call === "string" ? this.request(call) : call;
    this.frame({ socka: "serverError", v: 1, id, error, rpc, ...more });
  }

  /** Pushes. */
  push(event: string, body?: unknown): void {
    this.frame({ socka: "serverEvent", v: 1, event, body });
  }

  /** Sends any frame. */
  frame(frame: object): void {
    const data = this.#format.encode(frame);
    this.receive(typeof data === "string" ? data : data.slice().buffer);
  }
}

/** Sockets that a test scripts, and what makes them. */
export interface FakeWebSocket {
  /** To be given as the option `webSocket`. */
  readonly webSocket: WebSocketConstructor;
  /** Those that were made so far. */
  readonly sockets: readonly FakeSocket[];
  /** The next that is made, or was made and not asked for yet. */
  readonly next: () => Promise<FakeSocket>;
}

/** Makes a stand-in for `WebSocket`, whose sockets write contracts' frames in `format`, which is JSON unless given. */
export function fakeWebSocket(format?: Format): FakeWebSocket {
  const sockets: FakeSocket[] = [];
  const waiting: ((socket: FakeSocket) => void)[] = [];
  let taken = 0;
  return {
    webSocket: class extends FakeSocket {
      constructor(url: string, protocols: string[] = []) {
        super(url, protocols, format);
        sockets.push(this);
        const waiter = waiting.shift();
        if (waiter !== undefined) {
          taken += 1;
          waiter(this);
        }
      }
    },
    sockets,
    next() {
      const socket = sockets[taken];
      if (socket === undefined) return new Promise((resolve) => waiting.push(resolve));
      taken += 1;
      return Promise.resolve(socket);
    },
  };
}
