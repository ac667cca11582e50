// `@wirelark/client/rates`: calls of a server that says how often it may be asked.
//
// It stands around a session and knows nothing of its inside, so that pages whose server limits nothing do not load it.

import type { Calls, Contract } from "./contract.js";
import { AbortError, OptionError, ServerError } from "./errors.js";
import type { CallOptions, Session } from "./session.js";

/** The call was made too often, and the server did not do it. */
export class RateLimitedError extends ServerError {
  override name = "RateLimitedError";
  /** In how many milliseconds it may be made again. Until then calls of this name wait. */
  readonly retryAfterMs: number;

  constructor({ message, call, code, data, requestId }: ServerError, retryAfterMs: number) {
    super({ id: requestId, error: message, rpc: call, code, data });
    this.retryAfterMs = retryAfterMs;
  }
}

export interface PaceOptions {
  /** How often a call is made again after the time that the server says; never unless set. */
  readonly retries?: number | undefined;
  /** How long a call may take, all of its waiting included, in milliseconds, unless the call says otherwise; 10000. */
  readonly callTimeout?: number | undefined;
}

/** Until when calls of a name wait, and why. */
interface Hold {
  readonly until: number;
  readonly error: RateLimitedError;
}

/** A call's place among those of its name that wait. */
interface Place {
  /** Ends the wait for those before it. */
  reached: () => void;
}

/**
 * The calls of a session, at the server's pace: `const call = paced(session, { retries: 2 })`. One that came too often
 * rejects with a `RateLimitedError`, or is made again as often as `retries` says; meanwhile those of its name wait, and then
 * go one after the other. What the server has wait longer than it may take rejects at once, and what still stands behind
 * others when its time is up rejects then. Make it once for a session: each has a memory of its own.
 */
export function paced<C extends Contract>(
  session: Session<C>,
  { retries = 0, callTimeout = 10_000 }: PaceOptions = {},
): Calls<C, CallOptions> {
  if (!Number.isInteger(retries) || retries < 0) {
    throw new OptionError(`\`retries\` must be a whole number, 0 or more, not ${retries}`);
  }
  type Call = (input: unknown, options?: CallOptions) => Promise<unknown>;
  const calls = session.call as Readonly<Record<string, Call>>;
  const around = (call: Call): Call => {
    let hold: Hold | undefined;
    /** Those that wait. If all went at once, the server would refuse all but as many as it allows at that moment. */
    const line = new Set<Place>();
    const isFirst = (place: Place) => line.values().next().value === place;
    /** How many calls were made and not refused. */
    let made = 0;
    return async (input, options = {}) => {
      const { timeout = callTimeout, signal } = options;
      const deadline = performance.now() + timeout;
      const place: Place = { reached() {} };
      let madeBefore = made;
      try {
        for (let left = retries; ; ) {
          const wait = (hold?.until ?? 0) - performance.now();
          if (hold !== undefined && wait > 0 && hold.until >= deadline) throw tooLate(hold);
          if ((wait > 0 || line.size > 0) && !line.has(place)) {
            madeBefore = made;
            line.add(place);
            if (!isFirst(place)) await pause(session, deadline - performance.now(), signal, place);
            if (hold !== undefined && !isFirst(place) && session.status !== "closed") throw tooLate(hold);
            continue;
          }
          if (wait > 0) await pause(session, wait, signal);
          try {
            // A timer may be late; a call without any time would be a mistake of the caller's.
            const rest = hold === undefined ? timeout : Math.max(1, deadline - performance.now());
            const answer = await call(input, { ...options, timeout: rest });
            made += 1;
            return answer;
          } catch (error) {
            const limited = rateLimited(error);
            if (limited === undefined) {
              made += 1;
              throw error;
            }
            hold = { until: performance.now() + limited.retryAfterMs, error: limited };
            // Where calls before it were made since it waits, they took what it was told to wait for: it keeps its place,
            // and that is no retry. Each of those calls excuses one refusal, so there is an end to it.
            if (line.has(place) && made !== madeBefore) madeBefore = made;
            else if (left === 0) throw limited;
            else left -= 1;
          }
        }
      } finally {
        line.delete(place);
        const [next] = line;
        next?.reached();
      }
    };
  };
  const own = Object.entries(calls).map(([name, call]) => [name, around(call)]);
  // Without a prototype, as the session's own.
  return Object.assign(Object.create(null), Object.fromEntries(own)) as Calls<C, CallOptions>;
}

/** The error as one of a rate, if it is one that says when to come again. */
function rateLimited(error: unknown): RateLimitedError | undefined {
  if (!(error instanceof ServerError) || error.code !== "RATE_LIMITED") return undefined;
  const { retry_after_ms: ms } = (error.data ?? {}) as { readonly retry_after_ms?: unknown };
  return typeof ms === "number" && ms >= 0 ? new RateLimitedError(error, ms) : undefined;
}

/** What a call rejects with that cannot wait for its turn. */
function tooLate({ until, error }: Hold): RateLimitedError {
  return new RateLimitedError(error, Math.max(0, Math.ceil(until - performance.now())));
}

/**
 * So long, or until the place is reached, or until the session is closed: then the call is made, and says why it cannot
 * be.
 */
function pause<C extends Contract>(
  session: Session<C>,
  ms: number,
  signal?: AbortSignal,
  place?: Place,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AbortError(signal.reason, false));
    let settled = false;
    const settle = (then: () => void) => () => {
      settled = true;
      clearTimeout(timer);
      unsubscribe();
      signal?.removeEventListener("abort", abort);
      then();
    };
    const abort = settle(() => reject(new AbortError(signal?.reason, false)));
    const timer = setTimeout(() => done(), ms);
    signal?.addEventListener("abort", abort);
    let unsubscribe = () => {};
    const done = settle(resolve);
    if (place !== undefined) place.reached = done;
    unsubscribe = session.onStatus((status) => {
      if (status === "closed") done();
    });
    // It is told of the present status before there is anything to unsubscribe with.
    if (settled) unsubscribe();
  });
}
