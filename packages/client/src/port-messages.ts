// What a tab and the worker with its socket say to each other.

import type { Data } from "./format.js";

/** A worker outlives the pages that were loaded before a deployment, and one of another version turns a tab away. */
export const VERSION = 1;

/** Which socket a tab wants to have a part of. */
export interface Dial {
  readonly version: number;
  readonly url: string;
  readonly protocols: readonly string[];
  /** The subprotocol of the format its frames are in, whether it is offered or not. */
  readonly format: string;
  /** What the ids of its requests begin with. */
  readonly tab: string;
  /** The name of a lock it holds for as long as it is there. */
  readonly lock: string;
}

export type ToWorker =
  | { readonly type: "dial"; readonly dial: Dial }
  | { readonly type: "send"; readonly data: Data }
  | { readonly type: "close"; readonly code: number | undefined; readonly reason: string | undefined };

export type ToTab =
  /** There is a worker, and it has read the dial. */
  | { readonly type: "heard" }
  /** There is a connection. The worker holds the lock for as long as it is there. */
  | { readonly type: "open"; readonly protocol: string; readonly lock: string }
  | { readonly type: "message"; readonly data: unknown }
  /** So much of what the tab has sent waits no longer. */
  | { readonly type: "sent"; readonly length: number }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  /** The worker cannot do what it is asked. */
  | { readonly type: "refused"; readonly why: string };

/** The id of a request as it travels: each tab counts from 1, and one connection carries the requests of all. */
export function mark(tab: string, id: string): string {
  return `${tab}/${id}`;
}

/** Whose request has this id; `undefined` if no tab made it. */
export function tabOf(id: string): string | undefined {
  return /^(\w+)\//.exec(id)?.[1];
}
