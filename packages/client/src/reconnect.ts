// Whether a connection that ended is made again, and when.

import { NORMAL } from "./close-codes.js";
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

/** The longest delay before attempt `attempt`, counted from 1. */
function longestDelay({ initial, max, factor }: Backoff, attempt: number): number {
  return Math.min(max, initial * factor ** (attempt - 1));
}

/** The delay before attempt `attempt` after a connection that ended like this; `undefined` if there is to be none. */
export function delayBefore(backoff: Backoff, attempt: number, closed: Closed): number | undefined {
  const final = closed.by === "client" || closed.action === "stop" || closed.action === "signIn";
  if (final || closed.code === NORMAL || attempt > backoff.maxAttempts) return undefined;
  const own = longestDelay(backoff, attempt) * (1 - backoff.jitter * Math.random());
  // On top of what the server asks for: it said the same to all clients, and they should not come back together.
  return Math.min(retryAfter(closed) ?? 0, RETRY_AFTER_MAX) + own;
}

/** The attempt to come, or under way. */
export interface Retry {
  /** Which attempt in a row, from 1. */
  readonly attempt: number;
  /** How many milliseconds the client waits before it. */
  readonly delay: number;
}

/** Plans the attempts of one client. */
export class Reconnector {
  readonly #backoff: Backoff;
  /** How many attempts in a row have failed. */
  #failures = 0;
  #openedAt: number | undefined;
  #stopResting: (() => void) | undefined;

  constructor(backoff: Backoff) {
    this.#backoff = backoff;
  }

  /** There is a connection. */
  opened(): void {
    this.#openedAt = performance.now();
  }

  /** It ended, or there was none: calls `again` when it is time for another attempt, if there is to be one. */
  ended(closed: Closed, again: () => void): Retry | undefined {
    const stayed = this.#openedAt === undefined ? 0 : performance.now() - this.#openedAt;
    this.#openedAt = undefined;
    // A server that accepts and hangs up must not get a client that comes back every moment.
    if (stayed > longestDelay(this.#backoff, this.#failures)) this.#failures = 0;
    this.#failures += 1;
    const attempt = this.#failures;
    const delay = delayBefore(this.#backoff, attempt, closed);
    if (delay === undefined) return undefined;
    this.#stopResting = rest(delay, this.#backoff.pauseWhenHidden, again);
    return { attempt, delay };
  }

  /** Somebody wants the next attempt now. */
  wake(): void {
    this.#stopResting?.();
  }

  /** There is to be no further attempt. Should there be one all the same, it is the first. */
  stop(): void {
    this.wake();
    this.#failures = 0;
    this.#openedAt = undefined;
  }
}

/** Calls `go` after so long, and not while the page is hidden. Returns what takes it back. */
function rest(delay: number, pauseWhenHidden: boolean, go: () => void): () => void {
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

/** What makes reconnectors with these options. Throws what is wrong with them, and what to write instead. */
export function backoff(options: Partial<Backoff> = {}): () => Reconnector {
  const all = { ...BACKOFF, ...options };
  const { initial, max, factor, jitter, maxAttempts } = all;
  // A first delay of nothing would be a client that never rests, and a timer cannot hold more than 24 days.
  if (!(initial > 0 && max >= initial && max < 2 ** 30)) {
    throw new Error(
      "`initial` must be more than 0, and `max` at least that, in milliseconds, and at most 12 days",
    );
  }
  if (!(factor >= 1 && jitter >= 0 && jitter <= 1 && maxAttempts >= 0)) {
    throw new Error("`factor` must be at least 1, `jitter` from 0 to 1, and `maxAttempts` not negative");
  }
  return () => new Reconnector(all);
}
