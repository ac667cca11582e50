// What a session is made with. Every option has a default, and bad values are found when it is made.

import type { Contract, PushBody, PushName } from "./contract.js";
import type { Gap, Limits } from "./core.js";
import { OptionError, textOf } from "./errors.js";
import { type Format, json } from "./format.js";
import { type Backoff, backoff, type Reconnector } from "./reconnect.js";
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

/** The numbers of the options, with their defaults. */
const NUMBERS = {
  callTimeout: 10_000,
  connectTimeout: 10_000,
  closeTimeout: 5000,
  calls: 1024,
  outboxMessages: 1024,
  outboxBytes: 1024 * 1024,
};

/** The options that were given and the defaults of the others. */
export interface Settings extends Limits, Readonly<typeof NUMBERS> {
  readonly urls: readonly string[];
  readonly format: Format;
  readonly reconnector: Reconnector | undefined;
}

/** Checks the options. Throws an `OptionError` that says what to write instead. */
export function settings<C extends Contract>(options: SessionOptions<C>): Settings {
  const { url = [], socket, reconnect, format = json() } = options;
  const urls = typeof url === "string" ? [url] : url;
  if ((socket === undefined) !== urls.length > 0) {
    throw new OptionError("either `url` or `socket` says where to connect to: write one of them");
  }
  const numbers = { ...NUMBERS };
  for (const name of Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]) {
    numbers[name] = checked(name, options[name] ?? NUMBERS[name]);
  }
  const again = reconnect !== false && socket === undefined;
  return { ...numbers, urls, format, reconnector: again ? reconnector(reconnect) : undefined };
}

function reconnector(options: Partial<Backoff> | undefined): Reconnector {
  try {
    return backoff(options)();
  } catch (error) {
    throw new OptionError(`reconnect: ${textOf(error)}`);
  }
}

/** A number that is one, and not more milliseconds than a timer can hold: more would be over at once. */
export function checked(name: string, value: number): number {
  if (value > 0 && value < 2 ** 31) return value;
  throw new OptionError(`\`${name}\` must be more than 0 and less than 2 ** 31, not ${value}`);
}
