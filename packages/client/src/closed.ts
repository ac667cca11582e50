// How a connection ended, or an attempt at one: one word for both, so that one table says what to do next.

import { ABNORMAL, type CloseAction, closeAction } from "./close-codes.js";

/** How a connection, or an attempt to make one, ended. */
export interface Closed {
  /** The close code: 1005 when the server gave none, 1006 when the connection broke or was never made. */
  readonly code: number;
  /** The reason that came with it, or what went wrong. */
  readonly reason: string;
  /** Who ended it: this side, the server, or neither. */
  readonly by: "client" | "server" | "network";
  /** What the table of close codes says a client should do now. */
  readonly action: CloseAction;
}

export function closedBy(by: Closed["by"], code: number, reason: string): Closed {
  return { code, reason, by, action: closeAction(code) };
}

/** It broke, or was never made, for a reason another attempt may not meet. */
export function lost(reason: string): Closed {
  return closedBy("network", ABNORMAL, reason);
}

export function describe({ by, code, reason }: Closed): string {
  const whose = by === "client" ? "this client" : `the ${by}`;
  return `by ${whose} with ${code}${reason && `, ${reason}`}`;
}

/** How many milliseconds the server asked to be left alone: the end of a reason, `retry after 3 s`. */
export function retryAfter({ reason }: Closed): number | undefined {
  const seconds = /retry after (\d+) s$/.exec(reason)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
