// `@wirelark/client/raw`: a socket whose messages are yours, for routes that have no contract. It does not reconnect
// unless it is asked to: what a raw socket is about often lives as long as its connection, and would be lost unnoticed.

import { webSocketUrl } from "./address.js";
import { type Closed, closedBy } from "./closed.js";
import type { Data } from "./format.js";
import { Link } from "./link.js";
import type { Reconnector } from "./reconnect.js";
import type { WebSocketConstructor } from "./web-socket.js";

export { type Backoff, backoff, type Reconnector } from "./reconnect.js";
export type { WebSocketLike } from "./web-socket.js";
export type { Closed, WebSocketConstructor };

/** What arrives: text, or bytes. */
export type Message = string | Uint8Array;

/** What can be sent: text and bytes as they are, anything else as JSON. */
export type Sendable = string | ArrayBuffer | ArrayBufferView | object;

/**
 * A route, written down once for all who use it, with the type of what it takes. Sockets of it are made with
 * `{ ...route, key, onMessage }`, and take nothing else.
 *
 * ```ts
 * const terminal: Route<string | { resize: [number, number] }> = {
 *   url: (worker) => `/_socket/workers/terminal?worker=${encodeURIComponent(worker)}`,
 * };
 * ```
 */
export interface Route<Sent extends Sendable = Sendable> {
  /** Where to connect to, relative to the page if there is one; made of the key, if there are several. */
  readonly url: string | ((key: string) => string);
  /** Subprotocols to offer. */
  readonly protocols?: readonly string[] | undefined;
  /** Never there at run time; the compiler reads it. */
  readonly "~sent"?: ((sent: Sent) => void) | undefined;
}

export interface RawOptions<Sent extends Sendable = Sendable> extends Route<Sent> {
  /** What the socket is about: with another key it is another socket. Without one yet (`null`) there is none. */
  readonly key?: string | null | undefined;
  /** Whether there is to be a socket at all; true. */
  readonly enabled?: boolean | undefined;
  /** What makes sockets, where there is no global `WebSocket`. */
  readonly webSocket?: WebSocketConstructor | undefined;
  /** How long an attempt to connect may take, in milliseconds; 10000. */
  readonly connectTimeout?: number | undefined;
  /** How many bytes, or characters, may wait to be sent; a MiB. */
  readonly outboxBytes?: number | undefined;
  /** Reconnects: `backoff()`, with its options. Read once. */
  readonly reconnect?: (() => Reconnector) | undefined;

  readonly onOpen?: (() => unknown) | undefined;
  readonly onMessage?: ((message: Message) => unknown) | undefined;
  readonly onClose?: ((closed: Closed) => unknown) | undefined;
  readonly onError?: ((error: SocketError) => unknown) | undefined;
}

/** What there is to know of a raw socket at one moment. */
export interface RawState {
  readonly status: "connecting" | "open" | "closed";
  /** The last message; kept until the next one comes, from whichever socket. */
  readonly lastMessage: Message | undefined;
  /** Why the last attempt failed, or the last connection broke. */
  readonly error: SocketError | undefined;
  /** How the last connection, or attempt at one, ended. */
  readonly closed: Closed | undefined;
}

/** The connection broke, or could not be made. */
export class SocketError extends Error {
  override name = "SocketError";
  readonly closed: Closed;

  constructor(closed: Closed) {
    super(closed.reason);
    this.closed = closed;
  }
}

const BYTES_MAX = 1024 * 1024;

/** Opens a raw socket. Throws for bad options; all else is a state. */
export function openSocket<Sent extends Sendable = Sendable>(options: RawOptions<Sent>): RawSocket<Sent> {
  const socket = new RawSocket(options);
  socket.start();
  return socket;
}

/** A raw socket. It connects once it is started, and queues what is sent until then. */
export class RawSocket<Sent extends Sendable = Sendable> {
  #options: RawOptions<Sent>;
  #state: RawState;
  #started = false;
  readonly #listeners = new Set<() => void>();

  #link: Link | undefined;
  readonly #reconnector: Reconnector | undefined;
  /** What was sent while connecting. It is of this socket: with another key nobody may get it. */
  #queue: Data[] = [];
  #queued = 0;

  constructor(options: RawOptions<Sent>) {
    this.#options = options;
    this.#reconnector = options.reconnect?.();
    this.#state = {
      status: this.#wanted ? "connecting" : "closed",
      lastMessage: undefined,
      error: undefined,
      closed: undefined,
    };
  }

  /** What there is to know now: another object after each change, and only then. */
  get state(): RawState {
    return this.#state;
  }

  /** Calls `listener` after each change of the state. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Connects, unless that was done before. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    if (this.#wanted) this.#connect();
  }

  /** Lets go of the socket without a word, until it is started again. */
  stop(): void {
    this.#started = false;
    this.#drop();
    this.#change({ status: "closed" });
  }

  /** Takes these options from now on. Other addresses, keys and subprotocols mean other sockets; `enabled` opens and closes. */
  update(options: RawOptions<Sent>): void {
    const before = this.#identity();
    this.#options = options;
    if (this.#identity() === before) return;
    this.#drop();
    if (this.#wanted) this.#connect();
    else this.#change({ status: "closed", error: undefined, closed: undefined });
  }

  get #wanted(): boolean {
    return this.#options.enabled !== false && this.#options.key !== null;
  }

  /** What makes it the socket it is, as text. */
  #identity(): string {
    const { key, protocols } = this.#options;
    return JSON.stringify(this.#wanted && [this.#address(), key, protocols]);
  }

  #address(): string {
    const { url, key } = this.#options;
    return typeof url === "string" ? url : url(key ?? "");
  }

  /** Opens it again after its end. Does nothing while there is a socket, or if there is to be none. */
  open(): void {
    if (this.#started && this.#wanted && this.#state.status === "closed") this.#connect();
  }

  /**
   * Sends text or bytes, and anything else as JSON. While it connects it waits for that. Returns whether it was taken:
   * it is dropped when the socket is closed, and when too much waits already.
   */
  send(message: Sent): boolean {
    const data = dataOf(message);
    const waiting = this.#queued + (this.#link?.buffered ?? 0) + data.length;
    if (this.#state.status === "closed" || waiting > (this.#options.outboxBytes ?? BYTES_MAX)) return false;
    if (this.#state.status === "connecting") {
      this.#queue.push(data);
      this.#queued += data.length;
      return true;
    }
    if (!this.#link?.isOpen) return false;
    this.#link.send(data);
    return true;
  }

  /** Closes it; it does not reconnect. Browsers allow the codes 1000 and 3000 to 4999. */
  close(code = 1000, reason = ""): void {
    if (this.#state.status === "closed") return;
    const closed = closedBy("client", code, reason);
    this.#drop(code, reason);
    this.#change({ status: "closed", closed });
    this.#tell(this.#options.onClose, closed);
  }

  #connect(): void {
    if (this.#started) this.#dial();
    this.#change({ status: "connecting", error: undefined, closed: undefined });
  }

  #dial(): void {
    const { webSocket = globalThis.WebSocket, protocols = [], connectTimeout = 10_000 } = this.#options;
    const make = (offered: string[]) => {
      if (webSocket === undefined) throw new Error("there is no global WebSocket: give one as `webSocket`");
      return new webSocket(webSocketUrl(this.#address()), offered);
    };
    this.#link = new Link(
      { protocols: () => protocols, socket: make, timeout: connectTimeout },
      {
        opened: () => this.#opened(),
        received: (data) => this.#received(data),
        ended: (closed) => this.#ended(closed),
      },
    );
  }

  #opened(): void {
    this.#reconnector?.opened();
    this.#queued = 0;
    for (const data of this.#queue.splice(0)) this.#link?.send(data);
    // A socket that throws when it is written to has ended by now.
    if (this.#link === undefined) return;
    this.#change({ status: "open", error: undefined, closed: undefined });
    this.#tell(this.#options.onOpen, undefined);
  }

  #received(data: unknown): void {
    const message =
      typeof data === "string" ? data : data instanceof ArrayBuffer ? new Uint8Array(data) : undefined;
    if (message === undefined) return;
    this.#change({ lastMessage: message });
    this.#tell(this.#options.onMessage, message);
  }

  #ended(closed: Closed): void {
    const { onError, onClose } = this.#options;
    this.#link = undefined;
    const error = closed.by === "server" ? undefined : new SocketError(closed);
    const retry = this.#reconnector?.ended(closed, () => this.#dial());
    if (retry === undefined) this.#drop();
    this.#change({ status: retry === undefined ? "closed" : "connecting", error, closed });
    if (error !== undefined) this.#tell(onError, error);
    this.#tell(onClose, closed);
  }

  /** Lets go of the socket and of what waits for it. Nothing more is heard of it. */
  #drop(code = 1000, reason = ""): void {
    this.#reconnector?.stop();
    this.#link?.close(code, reason);
    this.#link = undefined;
    this.#queue = [];
    this.#queued = 0;
  }

  #change(change: Partial<RawState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) this.#tell(listener, undefined);
  }

  #tell<T>(callback: ((value: T) => unknown) | undefined, value: T): void {
    // Thrown on, or left to a promise that nobody has, it would end a process, or the reading of what comes behind.
    const failed = (error: unknown) => console.error("wirelark: a callback of a raw socket threw", error);
    (async () => callback?.(value))().catch(failed);
  }
}

function dataOf(message: Sendable): Data {
  if (typeof message === "string") return message;
  if (message instanceof ArrayBuffer) return new Uint8Array(message);
  if (!ArrayBuffer.isView(message)) return JSON.stringify(message);
  return new Uint8Array(message.buffer as ArrayBuffer, message.byteOffset, message.byteLength);
}
