// Whether a connection that ended is made again, and when.

import { CloseCode } from "./close-codes.js";
import { type Closed, retryAfter } from "./closed.js";

/**
 * How long to wait before each attempt to connect. The delay before attempt `n` is `initial * factor ** (n - 1)`, at
 * most `max`, of which the part `jitter` is left to chance. A server that asks to be left alone for longer is. Attempts
 * count from 1 again once a connection has stayed open longer than the longest delay before it could have been.
 */
export interface Backoff {
  /** Before the first attempt, in milliseconds; 1000. */
  readonly initial: number;
  /** The longest delay, in milliseconds; 30000. */
  readonly max: number;
  /** How much longer each delay is than the one before it; 2. */
  readonly factor: number;
  /** Which part of a delay is left to chance; 1, which is all of it. */
  readonly jitter: number;
  /** How many attempts in a row may fail before the client is closed; without a limit unless set. */
  readonly maxAttempts: number;
  /** Whether a page nobody looks at waits with its next attempt until somebody does; true. */
  readonly pauseWhenHidden: boolean;
}

export const BACKOFF: Backoff = {
  initial: 1000,
  max: 30_000,
  factor: 2,
  jitter: 1,
  maxAttempts: Number.POSITIVE_INFINITY,
  pauseWhenHidden: true,
};

/** The longest a server can ask a client to wait. */
const RETRY_AFTER_MAX = 3_600_000;

/** What is wrong with it, and what to write instead. */
export function problemOf({ initial, max, factor, jitter, maxAttempts }: Backoff): string | undefined {
  if (!(initial > 0)) return "`initial` must be more than 0, or the client never rests: write 1000";
  if (!(max >= initial && max <= 2 ** 30)) return "`max` must be at least `initial`, and at most 12 days";
  if (!(factor >= 1)) return "`factor` must be at least 1";
  if (!(jitter >= 0 && jitter <= 1)) return "`jitter` must be from 0 to 1";
  return maxAttempts >= 0 ? undefined : "`maxAttempts` must not be negative";
}

/** The longest delay before attempt `attempt`, counted from 1. */
export function longestDelay({ initial, max, factor }: Backoff, attempt: number): number {
  return Math.min(max, initial * factor ** (attempt - 1));
}

/** The delay before attempt `attempt` after a connection that ended like this; `undefined` if there is to be none. */
export function delayBefore(backoff: Backoff, attempt: number, closed: Closed): number | undefined {
  const final = closed.by === "client" || closed.action === "stop" || closed.action === "signIn";
  if (final || closed.code === CloseCode.normal || attempt > backoff.maxAttempts) return undefined;
  const own = longestDelay(backoff, attempt) * (1 - backoff.jitter * Math.random());
  // On top of what the server asks for: it said the same to all clients, and they should not come back together.
  return Math.min(retryAfter(closed) ?? 0, RETRY_AFTER_MAX) + own;
}

/** Calls `go` after so long, and not while the page is hidden. Returns what takes it back. */
export function rest(delay: number, pauseWhenHidden: boolean, go: () => void): () => void {
  const page = globalThis.document;
  const look = () => {
    if (pauseWhenHidden && page?.visibilityState === "hidden") return;
    stop();
    go();
  };
  const timer = setTimeout(() => {
    page?.addEventListener("visibilitychange", look);
    look();
  }, delay);
  const stop = () => {
    clearTimeout(timer);
    page?.removeEventListener("visibilitychange", look);
  };
  return stop;
}
