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

/** What an error event says, where it says anything: browsers keep it to themselves. */
export function errorText(event: unknown): string {
  const message =
    typeof event === "object" && event !== null && "message" in event ? event.message : undefined;
  return typeof message === "string" && message !== "" ? message : "the connection failed";
}
