// What a session is made with. Every option has a default, and bad values are found when it is made.

import type { Contract, PushBody, PushName } from "./contract.js";
import type { Gap, Limits } from "./core.js";
import { OptionError } from "./errors.js";
import { type Format, json } from "./format.js";
import { BACKOFF, type Backoff, problemOf } from "./reconnect.js";
import type { Report } from "./report.js";
import type { Status } from "./session.js";
import type { WebSocketConstructor, WebSocketLike } from "./web-socket.js";

export interface SessionOptions<C extends Contract> {
  /** Where to connect to; relative to the page, if there is one. Of several each attempt takes the next. */
  readonly url?: string | readonly string[] | undefined;
  /** A socket that was made already, instead of `url`. It is used once: there is no reconnect. */
  readonly socket?: WebSocketLike | undefined;
  /** What makes sockets, where there is no global `WebSocket`, as in Node 20, or where it is not the right one. */
  readonly webSocket?: WebSocketConstructor | undefined;
  /** How frames are written; `json()` unless set. */
  readonly format?: Format | undefined;
  /** Subprotocols to offer beside ours, such as `bearer.` with a token; a function is asked before each attempt. */
  readonly protocols?: readonly string[] | (() => readonly string[] | Promise<readonly string[]>) | undefined;
  /** Offers no subprotocol of ours: for socka's servers, and for routes that have a format of their own. */
  readonly plainSocka?: boolean | undefined;
  /** Whether to connect at once, which is so unless it is `false`; then `connect` does, and so does the first call. */
  readonly autoConnect?: boolean | undefined;

  /** How long a call may take, waiting for a connection included, in milliseconds; 10000. */
  readonly callTimeout?: number | undefined;
  /** How long an attempt to connect may take, in milliseconds; 10000. */
  readonly connectTimeout?: number | undefined;
  /** How long the server may take to hang up after a close, in milliseconds; 5000. */
  readonly closeTimeout?: number | undefined;
  /** How many calls may wait for their answers; 1024. */
  readonly calls?: number | undefined;
  /** How many calls and sends may wait to be sent; 1024. */
  readonly outboxMessages?: number | undefined;
  /** How many bytes, or characters, may wait to be sent; a MiB. With a connection, what the socket holds counts. */
  readonly outboxBytes?: number | undefined;

  /** What happens to calls and sends while there is no connection but may soon be one; they wait for it. */
  readonly offline?: "wait" | "fail" | undefined;
  /** How to wait between attempts to connect, or `false` for no attempt but the first. */
  readonly reconnect?: Partial<Backoff> | false | undefined;

  /** Listeners of pushes, by name. */
  readonly on?:
    | { readonly [Name in PushName<C>]?: ((body: PushBody<C, Name>) => unknown) | undefined }
    | undefined;
  readonly onGap?: ((gap: Gap) => unknown) | undefined;
  readonly onStatus?: ((status: Status) => unknown) | undefined;
  /** Hears what no caller is told about, instead of the console. */
  readonly onReport?: ((report: Report) => void) | undefined;
}

/** The options that were given and the defaults of the others. */
export interface Settings extends Limits {
  readonly urls: readonly string[];
  readonly format: Format;
  readonly callTimeout: number;
  readonly connectTimeout: number;
  readonly closeTimeout: number;
  readonly backoff: Backoff | undefined;
}

/** Checks the options. Throws an `OptionError` that says what to write instead. */
export function settings<C extends Contract>(options: SessionOptions<C>): Settings {
  const { url, socket, reconnect } = options;
  const urls = url === undefined ? [] : typeof url === "string" ? [url] : [...url];
  if ((socket === undefined) !== urls.length > 0) {
    throw new OptionError("either `url` or `socket` says where to connect to: write one of them");
  }
  const backoff = reconnect === false || socket !== undefined ? undefined : { ...BACKOFF, ...reconnect };
  const problem = backoff && problemOf(backoff);
  if (problem !== undefined) throw new OptionError(`reconnect: ${problem}`);
  return {
    urls,
    backoff,
    format: options.format ?? json(),
    callTimeout: time("callTimeout", options.callTimeout ?? 10_000),
    connectTimeout: time("connectTimeout", options.connectTimeout ?? 10_000),
    closeTimeout: time("closeTimeout", options.closeTimeout ?? 5000),
    calls: positive("calls", options.calls ?? 1024),
    outboxMessages: positive("outboxMessages", options.outboxMessages ?? 1024),
    outboxBytes: positive("outboxBytes", options.outboxBytes ?? 1024 * 1024),
  };
}

function positive(name: string, value: number): number {
  if (value > 0) return value;
  throw new OptionError(`\`${name}\` must be more than 0, not ${value}`);
}

/** A time that a timer can hold: one that is longer would be over at once. */
export function time(name: string, value: number): number {
  if (value <= 2 ** 31 - 1) return positive(name, value);
  throw new OptionError(`\`${name}\` must be at most 24 days, in milliseconds`);
}
