// One socket, from the attempt to make it to its end.

import { ABNORMAL } from "./close-codes.js";
import { type Closed, closedBy, lost } from "./closed.js";
import { textOf } from "./errors.js";
import type { Data } from "./format.js";
import { discard, errorText, OPEN, type WebSocketLike } from "./web-socket.js";

/** How to make the socket. */
export interface Dialing {
  /** What to offer to the server. A failure is one of the attempt, which may be made again. */
  readonly protocols: () => readonly string[] | Promise<readonly string[]>;
  /** A failure here is one of the client's making: it would be the same each time. */
  readonly socket: (protocols: string[]) => WebSocketLike;
  /** How long all of it may take, in milliseconds. */
  readonly timeout: number;
}

/** What becomes of it. Nothing comes after `ended`, and nothing at all after the link was closed from this side. */
export interface LinkEvents {
  readonly opened: () => void;
  readonly received: (data: unknown) => void;
  readonly ended: (closed: Closed) => void;
}

export class Link {
  readonly #events: LinkEvents;
  #socket: WebSocketLike | undefined;
  #opened = false;
  #ended = false;
  readonly #timer: ReturnType<typeof setTimeout>;
  /** What the last error event said; the close event behind it says less. */
  #error = "the connection broke";

  /** Dials. No event comes before the caller has the link in its hands. */
  constructor(dialing: Dialing, events: LinkEvents) {
    this.#events = events;
    this.#timer = setTimeout(() => this.end(lost("the connection was not made in time")), dialing.timeout);
    void this.#dial(dialing);
  }

  async #dial({ protocols, socket }: Dialing): Promise<void> {
    let offered: readonly string[];
    try {
      offered = await protocols();
    } catch (error) {
      return this.end(lost(`what to offer is not known: ${textOf(error)}`));
    }
    if (this.#ended) return;
    try {
      this.#attach(socket([...offered]));
    } catch (error) {
      this.end(closedBy("client", ABNORMAL, textOf(error)));
    }
  }

  #attach(socket: WebSocketLike): void {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#open());
    socket.addEventListener("message", ({ data }) => {
      if (!this.#ended) this.#events.received(data);
    });
    socket.addEventListener("error", (event) => {
      this.#error = errorText(event) || this.#error;
      // The close event that should follow does not in Node 22, where an upgrade that is refused ends with this.
      if (!this.#opened) this.end(lost(this.#error));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.end(code === ABNORMAL ? lost(this.#error) : closedBy("server", code, reason));
    });
    // One that was made by somebody else may be further.
    if (socket.readyState === OPEN) this.#open();
    if (socket.readyState > OPEN) this.end(lost(this.#error));
  }

  #open(): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#opened = true;
    this.#events.opened();
  }

  /** The subprotocol the server agreed to. */
  get protocol(): string {
    return this.#socket?.protocol ?? "";
  }

  /** Whether it takes data; not from the moment on in which the server's close arrives, which is before its event. */
  get isOpen(): boolean {
    return !this.#ended && this.#socket?.readyState === OPEN;
  }

  /** How much the socket has not sent yet. */
  get buffered(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(data: Data): void {
    try {
      this.#socket?.send(data);
    } catch (error) {
      this.end(lost(textOf(error)));
    }
  }

  /** Closes it from this side. Nothing more is heard of it. Returns the socket, if there was one yet. */
  close(code: number, reason: string): WebSocketLike | undefined {
    const socket = this.#give();
    try {
      socket?.close(code, reason);
    } catch {
      if (socket !== undefined) discard(socket);
    }
    return socket;
  }

  /** Ends it, also because of something the socket does not know of. */
  end(closed: Closed): void {
    if (this.#ended) return;
    // Its own end comes before the socket's: some report an error from within their `close`.
    const socket = this.#give();
    if (socket !== undefined) discard(socket);
    this.#events.ended(closed);
  }

  #give(): WebSocketLike | undefined {
    this.#ended = true;
    clearTimeout(this.#timer);
    return this.#socket;
  }
}
