// What this package needs of a WebSocket: those of browsers, Node, Bun, Deno and of `ws` all have it.

export interface WebSocketLike {
  readonly readyState: number;
  /** The subprotocol the server agreed to, `""` without one. */
  readonly protocol: string;
  /** How much of what it was given has not left yet. */
  readonly bufferedAmount: number;
  binaryType: string;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open", listener: (event: unknown) => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "error", listener: (event: unknown) => void): void;
  addEventListener(
    type: "close",
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export const OPEN = 1;
const CLOSING = 2;

/** Closes a socket nobody listens to any more. */
export function discard(socket: WebSocketLike): void {
  // Some sockets throw errors nobody hears, and it will have one: it was given up before it was open.
  socket.addEventListener("error", () => {});
  try {
    socket.close();
  } catch {
    // It was closed already, or is no real one: either way nothing is left to do.
  }
}

/** Ready once a socket that was closed has ended, at most after `timeout`. */
export function gone(socket: WebSocketLike | undefined, timeout: number): Promise<void> {
  return new Promise((resolve) => {
    if (socket === undefined || socket.readyState > CLOSING) return resolve();
    const timer = setTimeout(resolve, timeout);
    socket.addEventListener("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** What an error event says, where it says anything: browsers keep it to themselves. */
export function errorText(event: unknown): string {
  return String((event as { readonly message?: unknown } | undefined)?.message ?? "");
}
