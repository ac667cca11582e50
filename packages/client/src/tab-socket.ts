// A tab's part of a socket that is in a worker. To a session it is a WebSocket like any other.

import { ABNORMAL } from "./close-codes.js";
import { textOf } from "./errors.js";
import type { Data } from "./format.js";
import type { Dial, ToTab, ToWorker } from "./port-messages.js";
import { holdLock, whenReleased } from "./web-locks.js";
import { OPEN, type WebSocketConstructor, type WebSocketLike } from "./web-socket.js";

/** How long a worker may take to load and say something. Not every browser tells every tab that it cannot be loaded. */
const PATIENCE = 3000;

const CONNECTING = 0;
const CLOSING = 2;
const CLOSED = 3;

type Listener = (event: never) => void;

export class TabSocket implements WebSocketLike {
  binaryType = "arraybuffer";
  readonly #dial: Dial;
  readonly #webSocket: WebSocketConstructor;
  readonly #listeners: { readonly type: string; readonly listener: Listener }[] = [];

  #readyState = CONNECTING;
  #protocol = "";
  #unsent = 0;
  #port: MessagePort | undefined;
  #dialed = false;
  #patience: ReturnType<typeof setTimeout> | undefined;
  /** Aborted when it is over: the lock is given back, and nobody waits for the worker's. */
  readonly #life = new AbortController();
  /** A socket of the tab's own, where there is no worker. */
  #own: WebSocketLike | undefined;

  /** `start` gives a port to the worker. Where that fails a `webSocket` of the tab's own takes its place. */
  constructor(dial: Dial, start: () => SharedWorker, webSocket: WebSocketConstructor) {
    this.#dial = dial;
    this.#webSocket = webSocket;
    const { signal } = this.#life;
    try {
      this.#patience = setTimeout(() => this.#goAlone("the worker does not answer"), PATIENCE);
      const worker = start();
      worker.addEventListener("error", () => this.#goAlone("the worker cannot be loaded"), { signal });
      worker.port.onmessage = ({ data }) => this.#receive(data);
      this.#port = worker.port;
      holdLock(dial.lock, signal).then(
        () => {
          this.#dialed = true;
          this.#post({ type: "dial", dial });
        },
        (error) => this.#goAlone(error),
      );
      // A page that a browser keeps for the way back may find its part gone.
      globalThis.addEventListener?.("pagehide", () => this.#end(ABNORMAL, "the page was left"), { signal });
    } catch (error) {
      this.#goAlone(error);
    }
  }

  #post(message: ToWorker): void {
    this.#port?.postMessage(message);
  }

  get readyState(): number {
    return this.#own?.readyState ?? this.#readyState;
  }

  get protocol(): string {
    return this.#own?.protocol ?? this.#protocol;
  }

  get bufferedAmount(): number {
    return this.#own?.bufferedAmount ?? this.#unsent;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.push({ type, listener });
  }

  #tell(type: string, event: object): void {
    for (const it of this.#listeners) if (it.type === type) (it.listener as (event: object) => void)(event);
  }

  send(data: Data): void {
    if (this.#own !== undefined) return this.#own.send(data);
    this.#unsent += data.length;
    this.#post({ type: "send", data });
  }

  /** Gives up this tab's part. The connection stays while other tabs have theirs. */
  close(code?: number, reason?: string): void {
    if (this.#own !== undefined) return this.#own.close(code, reason);
    if (this.#readyState > OPEN) return;
    this.#readyState = CLOSING;
    // The worker answers, as a server does.
    if (this.#dialed) this.#post({ type: "close", code, reason });
    else this.#end(ABNORMAL, "closed before it was open");
  }

  #receive(message: ToTab): void {
    clearTimeout(this.#patience);
    switch (message.type) {
      case "heard":
        return;
      case "open": {
        if (this.#readyState !== CONNECTING) return;
        const died = () => this.#end(ABNORMAL, "the worker that held the socket has ended");
        whenReleased(message.lock, this.#life.signal, died);
        this.#readyState = OPEN;
        this.#protocol = message.protocol;
        return this.#tell("open", {});
      }
      case "message":
        return this.#tell("message", message);
      case "sent":
        this.#unsent -= message.length;
        return;
      case "close":
        return this.#end(message.code, message.reason);
      case "refused":
        return this.#goAlone(message.why);
    }
  }

  #end(code: number, reason: string): void {
    if (this.#readyState === CLOSED) return;
    this.#readyState = CLOSED;
    this.#letGo();
    if (code === ABNORMAL) this.#tell("error", { message: reason });
    this.#tell("close", { code, reason });
  }

  #letGo(): void {
    clearTimeout(this.#patience);
    this.#life.abort();
    this.#port?.close();
  }

  /** The worker is not to be had: this tab has a socket of its own, and whoever listens does not notice. */
  #goAlone(why: unknown): void {
    // Letting go of the worker takes back the wait for the lock, which is told here too.
    if (this.#life.signal.aborted) return;
    if (this.#readyState !== CONNECTING) return this.#end(ABNORMAL, textOf(why));
    this.#letGo();
    console.warn("wirelark: this tab does not share its socket:", why);
    try {
      const own = new this.#webSocket(this.#dial.url, [...this.#dial.protocols]);
      own.binaryType = this.binaryType;
      for (const type of ["open", "message", "error", "close"]) {
        own.addEventListener(type as "open", (event) => this.#tell(type, event as object));
      }
      this.#own = own;
    } catch (error) {
      this.#end(ABNORMAL, textOf(error));
    }
  }
}
