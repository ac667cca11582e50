// What of a browser tabs need to share a socket: locks, and a worker that each of them has a port to.

import { vi } from "vitest";
import type { Format } from "../src/index.js";
import { serveTabs } from "../src/share.js";

/** One end of a channel. What is posted arrives a moment later, as a copy. */
class Port {
  onmessage: ((event: { data: unknown }) => void) | undefined;
  peer: Port | undefined;
  closed = false;
  readonly posted: unknown[] = [];

  postMessage(message: unknown): void {
    const data = structuredClone(message);
    this.posted.push(data);
    queueMicrotask(() => {
      if (!this.closed && this.peer?.closed === false) this.peer.onmessage?.({ data });
    });
  }

  close(): void {
    this.closed = true;
  }
}

/** Exclusive locks, given to those who ask in the order in which they asked. */
class Locks {
  readonly #queues = new Map<string, (() => void)[]>();
  /** What makes whoever holds a lock let go of it. */
  readonly #breaks = new Map<string, () => void>();

  async request(name: string, ...args: unknown[]): Promise<unknown> {
    const run = args.at(-1) as () => unknown;
    const { signal } = (args.length > 1 ? args[0] : {}) as { signal?: AbortSignal };
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    await new Promise<void>((granted, failed) => {
      signal?.throwIfAborted();
      signal?.addEventListener("abort", () => failed(signal.reason));
      queue.push(() => (signal?.aborted ? this.#next(name) : granted()));
      if (queue.length === 1) queue[0]?.();
    });
    const broken = new Promise<void>((resolve) => this.#breaks.set(name, resolve));
    try {
      return await Promise.race([run(), broken]);
    } finally {
      this.#next(name);
    }
  }

  #next(name: string): void {
    const queue = this.#queues.get(name) ?? [];
    queue.shift();
    queue[0]?.();
  }

  /** As a browser does when a page or a worker is gone. */
  break(name: string): void {
    this.#breaks.get(name)?.();
  }
}

/** A tab's `SharedWorker`. */
export class Tab {
  readonly port = new Port();
  readonly #locks: Locks;
  readonly #failed: (() => void)[] = [];

  constructor(locks: Locks) {
    this.#locks = locks;
  }

  addEventListener(_: string, listener: () => void): void {
    this.#failed.push(listener);
  }

  /** The worker's script could not be loaded. */
  fail(): void {
    for (const listener of this.#failed) listener();
  }

  /** The tab is gone, without a word. */
  kill(): void {
    this.port.closed = true;
    for (const message of this.port.posted) {
      const { dial } = message as { dial?: { lock: string } };
      if (dial !== undefined) this.#locks.break(dial.lock);
    }
  }
}

/** A browser whose worker serves these formats and makes its sockets with `webSocket`. */
export function browser(webSocket: unknown, ...formats: Format[]) {
  const locks = new Locks();
  const listeners: Record<string, ((event: object) => void)[]> = {};
  const tabs: Tab[] = [];
  vi.stubGlobal("navigator", { locks });
  vi.stubGlobal("SharedWorker", Tab);
  vi.stubGlobal("WebSocket", webSocket);
  vi.stubGlobal("addEventListener", (type: string, listener: (event: object) => void) => {
    listeners[type] = [...(listeners[type] ?? []), listener];
  });
  const fire = (type: string, event: object = {}) => {
    for (const listener of listeners[type] ?? []) listener(event);
  };
  serveTabs(...formats);
  return {
    locks,
    tabs,
    fire,
    /** Makes a tab's worker. */
    start(): SharedWorker {
      const tab = new Tab(locks);
      const port = new Port();
      [tab.port.peer, port.peer] = [port, tab.port];
      tabs.push(tab);
      fire("connect", { ports: [port] });
      return tab as unknown as SharedWorker;
    },
    /** The worker is gone, without a word. */
    killWorker() {
      for (const { port } of tabs) {
        if (port.peer === undefined) continue;
        port.peer.closed = true;
        for (const message of port.peer.posted) {
          const { lock } = message as { lock?: string };
          if (lock !== undefined) locks.break(lock);
        }
      }
    },
  };
}
