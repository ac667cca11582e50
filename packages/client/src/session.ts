// A session: one socket that is kept open, and what a program does with it. What travels is the core's business;
// this file knows when there is a connection, when there will be one, and when not.

import { webSocketUrl } from "./address.js";
import { NORMAL, OTHER_VERSION, PROTOCOL } from "./close-codes.js";
import { type Closed, closedBy, lost } from "./closed.js";
import type {
  CallDefinition,
  Calls,
  Contract,
  PushBody,
  PushName,
  SendDefinition,
  Sends,
} from "./contract.js";
import { Core, type Gap } from "./core.js";
import {
  AbortError,
  ClosedError,
  DisconnectedError,
  disconnected,
  OptionError,
  TimeoutError,
  type WirelarkError,
} from "./errors.js";
import { Link } from "./link.js";
import { Listeners, type Unsubscribe } from "./listeners.js";
import { checked, type SessionOptions, type Settings, settings } from "./options.js";
import type { Retry } from "./reconnect.js";
import { reportsTo } from "./report.js";
import { gone, type WebSocketLike } from "./web-socket.js";

/**
 * What a session is doing.
 *
 * ```text
 *   idle ──▶ connecting ──▶ open ──▶ reconnecting ──▶ open
 *                │           │        │  ▲   │
 *                │           │        └──┘   ▼
 *                └───────────┴───────────▶ closed ──▶ connecting
 * ```
 */
export type Status =
  /** Nothing yet: it connects with the first call or send, or when it is told to. */
  | "idle"
  /** The first attempt is under way. */
  | "connecting"
  | "open"
  /** It was connected, or tried to, and tries again: `retry` says when. */
  | "reconnecting"
  /** It does nothing more until it is told to connect. `closed` says why. */
  | "closed";

export interface CallOptions {
  /** How long it may take, in milliseconds, instead of the session's `callTimeout`. */
  readonly timeout?: number | undefined;
  /** Aborted, nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined;
}

export interface WaitOptions<Body> extends CallOptions {
  /** Which of the pushes is meant; the next unless set. */
  readonly predicate?: ((body: Body) => boolean) | undefined;
}

/** Connects to a server of the contract. Throws an `OptionError` for bad options; all else is a status. */
export function connect<const C extends Contract>(contract: C, options: SessionOptions<C>): Session<C> {
  return new Session(contract, options);
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: WirelarkError) => void;
}

export class Session<C extends Contract> {
  readonly contract: C;
  /**
   * The calls, as functions: `session.call.post({ text })`. Each returns a promise that settles always: with the
   * answer, or with a `WirelarkError` that says why there is none.
   */
  readonly call: Calls<C, CallOptions>;
  /**
   * The sends, as functions: `session.send.typing()`. Each returns once it is queued and throws a `WirelarkError` if it
   * cannot be. What the server could not do is reported.
   */
  readonly send: Sends<C>;

  readonly #options: SessionOptions<C>;
  readonly #settings: Settings;
  readonly #core: Core;
  readonly #statuses: Listeners<Status>;

  #status: Status = "idle";
  #retry: Retry | undefined;
  #closed: Closed | undefined;
  /** Statuses that are yet to be told: a listener may well cause the next while it hears of one. */
  #untold: Status[] = [];
  #telling = false;

  #link: Link | undefined;
  #injectedUsed = false;
  /** How many attempts there were, whatever became of them: it says which address is next. */
  #dialed = 0;
  /** Those who wait for the outcome of an attempt. */
  #connecting: Waiter[] = [];
  /** Those who wait for what cannot come once the session is closed. */
  readonly #waiting = new Set<(error: WirelarkError) => void>();

  constructor(contract: C, options: SessionOptions<C>) {
    this.contract = contract;
    this.#options = options;
    this.#settings = settings(options);
    const report = reportsTo(options.onReport);
    this.#core = new Core(contract, this.#settings.format, this.#settings, report);
    this.#statuses = new Listeners((error) => report("listener", error, "status"));
    this.call = this.#functions(contract.calls, (name, input, given) => this.#call(name, input, given));
    this.send = this.#functions(contract.sends, (name, input) => this.#send(name, input));
    for (const [name, listener] of Object.entries(options.on ?? {})) {
      if (listener !== undefined) this.#core.pushes.add(name, listener as (body: unknown) => unknown);
    }
    if (options.onGap !== undefined) this.onGap(options.onGap);
    if (options.onStatus !== undefined) this.onStatus(options.onStatus);
    if (options.autoConnect !== false) this.#begin("connecting");
  }

  #functions<Functions>(
    definitions: Readonly<Record<string, CallDefinition | SendDefinition>> | undefined,
    run: (name: string, input: unknown, options: CallOptions | undefined) => unknown,
  ): Functions {
    // Without a prototype, so that nothing is there but what the contract has.
    const functions = Object.create(null) as Record<string, unknown>;
    for (const name of Object.keys(definitions ?? {})) {
      if (name === "then")
        throw new OptionError("a call cannot be named `then`: it would look like a promise");
      functions[name] = (input: unknown, options?: CallOptions) => run(name, input, options);
    }
    return functions as Functions;
  }

  #call(name: string, input: unknown, options: CallOptions | undefined): Promise<unknown> {
    return this.#limited(options, `the answer to ${name} did not come in time`, (resolve, reject) => {
      this.#checkQueue();
      const id = this.#core.call(name, input, this.#buffered(), { resolve, reject });
      this.#leave();
      return () => this.#core.forget(id);
    });
  }

  /**
   * A promise that is settled by what `start` does, by the clock or by the signal. `start` returns what to do when it is,
   * which says whether the server may have got what it was about.
   */
  #limited<T>(
    { timeout, signal }: CallOptions = {},
    late: string,
    start: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => boolean,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const limit = checked("timeout", timeout ?? this.#settings.callTimeout);
      if (signal?.aborted) throw new AbortError(signal.reason, false);
      let stop = () => false;
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        return stop();
      };
      const fail = (error: unknown) => {
        settle();
        reject(error);
      };
      const timer = setTimeout(() => reject(new TimeoutError(late, settle())), limit);
      const abort = () => reject(new AbortError(signal?.reason, settle()));
      signal?.addEventListener("abort", abort);
      try {
        stop = start((value) => {
          settle();
          resolve(value);
        }, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  #send(name: string, input: unknown): void {
    this.#checkQueue();
    this.#core.send(name, input, this.#buffered());
    this.#leave();
  }

  /** Throws why nothing can be queued, if that is so. */
  #checkQueue(): void {
    const closed = this.#closed ?? lost("there was no connection yet");
    if (this.#status === "closed") throw this.#whyClosed(closed);
    if (this.#status !== "open" && this.#options.offline === "fail")
      throw new DisconnectedError(closed, false);
  }

  #whyClosed(closed: Closed): WirelarkError {
    return closed.code === OTHER_VERSION
      ? disconnected(this.contract.name, closed, false)
      : new ClosedError(closed);
  }

  #buffered(): number {
    return this.#link?.buffered ?? 0;
  }

  /** Something was queued: it leaves now, or with the connection that is made for it. */
  #leave(): void {
    if (this.#status === "idle") this.#begin("connecting");
    this.#flush();
  }

  #flush(): void {
    while (this.#status === "open" && this.#link?.isOpen) {
      const data = this.#core.next();
      if (data === undefined) return;
      this.#link.send(data);
    }
  }

  /** Calls `listener` for each push of this name, across reconnects. One that throws is reported, and harms no other. */
  on<Name extends PushName<C>>(name: Name, listener: (body: PushBody<C, Name>) => unknown): Unsubscribe {
    return this.#core.pushes.add(name, listener as (body: unknown) => unknown);
  }

  /** As `on`, for the next push only. */
  once<Name extends PushName<C>>(name: Name, listener: (body: PushBody<C, Name>) => unknown): Unsubscribe {
    return this.#core.pushes.add(name, listener as (body: unknown) => unknown, true);
  }

  /** Takes away a listener that was added with `on` or `once`. */
  off<Name extends PushName<C>>(name: Name, listener: (body: PushBody<C, Name>) => unknown): void {
    this.#core.pushes.off(name, listener);
  }

  /**
   * The next push of this name, or the next for which `predicate` is true. It listens from the call on, so that what a
   * call leads to can be waited for. Rejects when it does not come in time, which is the `callTimeout` unless set, when
   * `signal` is aborted, when `predicate` throws and when the session is closed first; a lost connection is waited for.
   */
  waitFor<Name extends PushName<C>>(
    name: Name,
    options: WaitOptions<PushBody<C, Name>> = {},
  ): Promise<PushBody<C, Name>> {
    const { predicate } = options;
    const push = this.#limited<PushBody<C, Name>>(
      options,
      `${name} was not pushed in time`,
      (resolve, reject) => {
        const ignore = this.on(name, (body) => {
          try {
            if (predicate === undefined || predicate(body)) resolve(body);
          } catch (error) {
            reject(error);
          }
        });
        this.#waiting.add(reject);
        return () => {
          ignore();
          this.#waiting.delete(reject);
          return false;
        };
      },
    );
    // Whoever holds it may be busy with the call that leads to it, and have failed with that.
    push.catch(() => {});
    return push;
  }

  /** Calls `listener` each time the server says that pushes to this client were dropped or replaced by newer ones. */
  onGap(listener: (gap: Gap) => unknown): Unsubscribe {
    return this.#core.gaps.add("", listener);
  }

  get status(): Status {
    return this.#status;
  }

  /** The attempt to come, or under way, while the status is `reconnecting`. */
  get retry(): Retry | undefined {
    return this.#retry;
  }

  /** How the last connection, or attempt at one, ended; `undefined` while there is one, and before the first end. */
  get closed(): Closed | undefined {
    return this.#closed;
  }

  /** Calls `listener` with the present status, now, and then with each new one, in order. */
  onStatus(listener: (status: Status) => unknown): Unsubscribe {
    const unsubscribe = this.#statuses.add("", listener);
    this.#statuses.call(listener, "", this.#status);
    return unsubscribe;
  }

  /**
   * Connects, and waits for the outcome of the attempt that is under way or comes next. Between two attempts it cuts the
   * wait short; it also opens a session again that was closed, whatever closed it. Its failure is a status too, so that
   * nobody has to wait for it.
   */
  connect(): Promise<void> {
    const outcome = new Promise<void>((resolve, reject) => {
      if (this.#status === "open") return resolve();
      this.#connecting.push({ resolve, reject });
      if (this.#link === undefined) {
        this.#begin(this.#status === "reconnecting" ? "reconnecting" : "connecting");
      }
    });
    outcome.catch(() => {});
    return outcome;
  }

  /**
   * Closes the session: calls fail with a `ClosedError`, what was sent before still leaves, and nothing is received any
   * more. Ready when the server has hung up, at most after `closeTimeout`. It does not reconnect; `connect` opens it
   * again. Throws an `OptionError` for what browsers do not let a page send.
   */
  close(code: number = NORMAL, reason = ""): Promise<void> {
    const allowed = code === NORMAL || (code >= 3000 && code <= 4999);
    if (!allowed || new TextEncoder().encode(reason).length > 123) {
      throw new OptionError("a client closes with 1000 or 3000 to 4999, and a reason of at most 123 bytes");
    }
    if (this.#status === "closed") return Promise.resolve();
    const ended = gone(this.#link?.close(code, reason), this.#settings.closeTimeout);
    this.#finish(closedBy("client", code, reason), (closed) => new ClosedError(closed));
    return ended;
  }

  #begin(status: "connecting" | "reconnecting"): void {
    const { connectTimeout, urls, reconnector } = this.#settings;
    reconnector?.wake();
    const url = urls[this.#dialed % urls.length];
    this.#dialed += 1;
    const link = new Link(
      {
        protocols: () => this.#protocols(),
        socket: (protocols) => (url === undefined ? this.#injected() : this.#make(url, protocols)),
        timeout: connectTimeout,
      },
      {
        opened: () => this.#opened(link),
        received: (data) => this.#core.receive(data),
        ended: (closed) => this.#lost(closed),
      },
    );
    this.#link = link;
    if (status === this.#status) return;
    this.#become(status);
    this.#tell();
  }

  async #protocols(): Promise<readonly string[]> {
    const { protocols = [], plainSocka } = this.#options;
    const own = typeof protocols === "function" ? await protocols() : protocols;
    if (plainSocka) return own;
    const { name, hash } = this.contract;
    const version = hash === undefined ? [] : [`wirelark.contract.${name}.${hash}`];
    return [this.#settings.format.subprotocol, ...version, ...own];
  }

  #make(url: string, protocols: string[]): WebSocketLike {
    const { webSocket = globalThis.WebSocket } = this.#options;
    if (webSocket === undefined) {
      throw new Error("there is no global WebSocket: give one as `webSocket`");
    }
    return new webSocket(webSocketUrl(url), protocols);
  }

  #injected(): WebSocketLike {
    const { socket } = this.#options;
    if (socket === undefined || this.#injectedUsed) {
      throw new Error("the socket was used already: give a `url` instead");
    }
    this.#injectedUsed = true;
    return socket;
  }

  #opened(link: Link): void {
    const { subprotocol } = this.#settings.format;
    // What an injected socket has agreed to is known to whoever made it.
    const plain = this.#options.plainSocka || this.#options.socket !== undefined;
    if (!plain && link.protocol !== subprotocol) {
      const why = `the server did not agree to \`${subprotocol}\`: for servers that agree to no subprotocol there is \`plainSocka\``;
      return link.end(closedBy("client", PROTOCOL, why));
    }
    this.#settings.reconnector?.opened();
    this.#become("open");
    this.#retry = undefined;
    this.#closed = undefined;
    for (const { resolve } of this.#connecting.splice(0)) resolve();
    this.#flush();
    this.#tell();
  }

  /** The connection ended, or could not be made. */
  #lost(closed: Closed): void {
    this.#link = undefined;
    this.#core.lose(closed);
    const error = () => disconnected(this.contract.name, closed, false);
    const retry = this.#settings.reconnector?.ended(closed, () => this.#begin("reconnecting"));
    if (retry === undefined) return this.#finish(closed, error);
    this.#closed = closed;
    this.#retry = retry;
    this.#become("reconnecting");
    for (const { reject } of this.#connecting.splice(0)) reject(error());
    if (this.#options.offline === "fail") this.#core.abandon(error);
    this.#tell();
  }

  /** There will be no connection until somebody asks for one. */
  #finish(closed: Closed, error: (closed: Closed, sent: boolean) => WirelarkError): void {
    this.#link = undefined;
    this.#settings.reconnector?.stop();
    this.#retry = undefined;
    this.#closed = closed;
    this.#become("closed");
    for (const { reject } of this.#connecting.splice(0)) reject(error(closed, false));
    for (const end of [...this.#waiting]) end(this.#whyClosed(closed));
    this.#core.abandon((sent) => error(closed, sent));
    this.#tell();
  }

  /** Changes the status. Nobody hears of it before `#tell`: a listener finds everything else changed too. */
  #become(status: Status): void {
    this.#status = status;
    this.#untold.push(status);
  }

  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
      this.#statuses.tell("", next);
    }
    this.#telling = false;
  }
}
