// The connection to a shell: its bytes as binary messages, everything else as JSON. `session.rs` is the other end.
//
// A shell lives as long as its connection. So when the connection is lost, the page says that the shell is gone, and what it
// reconnects to is another one.

import { backoff, type Closed, openSocket, type RawSocket, type Route } from "@wirelark/client/raw";
import { keepKey, key, token } from "./door.js";

export type Size = readonly [columns: number, rows: number];

/** What the server is told beside what is typed. */
type Said =
  | { enter: { token: string | null; key: string | null; size: Size } }
  | { resize: Size }
  | { shown: number };

/** What the server tells beside what the shell shows. */
type Told = { key: string } | { exit: { code: number; signal: string | null } };

/** Why there is no shell. */
export interface Ended {
  /** For the reader. */
  readonly text: string;
  /** `lost`, and the page tries to get another one; `ended`, and another one is to be had; `refused`, and none is. */
  readonly how: "lost" | "ended" | "refused";
}

export interface Listener {
  /** How large the terminal is now. */
  size(): Size;
  /** There is a shell. */
  started(): void;
  /** It shows this; `drawn` is to be called when the reader can see it. */
  output(bytes: Uint8Array, drawn: () => void): void;
  /** It is gone, or there is none. */
  ended(ended: Ended): void;
}

const terminal: Route<Uint8Array | Said> = { url: "/terminal" };

/** After how many bytes the server is told that they are drawn: well below its window, and not for each line. */
const SHOWN_STEP = 32 * 1024;

/** Said by a server that shuts down, which to the reader is a lost connection. */
const GOING_AWAY = 1001;

const LOST = "The connection is lost, and the shell is gone with it.";

/** Messages have at most 64 KiB; what is pasted may be longer. */
const TYPED_MAX = 32 * 1024;

/** A shell, from the moment the server was asked for it. */
interface Shell {
  /** Whether it has shown anything: then there is one. */
  started: boolean;
  /** How its end was told, which comes before that of the connection. */
  exit: string | undefined;
  /** Bytes that have been drawn, and how many of them the server knows of. */
  drawn: number;
  told: number;
}

export class Connection {
  readonly #listener: Listener;
  #socket: RawSocket<Uint8Array | Said> | undefined;
  #shell: Shell | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** Asks for a shell, unless that was done and something may still come of it. */
  open(): void {
    if (this.#socket !== undefined) return;
    this.#socket = openSocket({
      ...terminal,
      reconnect: backoff({ max: 5000 }),
      onOpen: () => this.#opened(),
      onMessage: (message) =>
        typeof message === "string" ? this.#heard(JSON.parse(message)) : this.#output(message),
      onClose: (closed) => this.#closed(closed),
    });
  }

  type(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += TYPED_MAX) this.#tell(bytes.subarray(at, at + TYPED_MAX));
  }

  resize(size: Size): void {
    this.#tell({ resize: size });
  }

  /** Says something to the shell that is there. One to come gets nothing that was not meant for it. */
  #tell(said: Uint8Array | Said): void {
    if (this.#shell !== undefined) this.#socket?.send(said);
  }

  #opened(): void {
    this.#shell = { started: false, exit: undefined, drawn: 0, told: 0 };
    this.#tell({ enter: { token: token(), key: key(), size: this.#listener.size() } });
  }

  #heard(told: Told): void {
    if ("key" in told) keepKey(told.key);
    else if (this.#shell !== undefined) this.#shell.exit = describe(told.exit);
  }

  #output(bytes: Uint8Array): void {
    const shell = this.#shell;
    if (shell === undefined) return;
    if (!shell.started) this.#listener.started();
    shell.started = true;
    this.#listener.output(bytes, () => {
      shell.drawn += bytes.length;
      // What an earlier shell has shown is no business of this one.
      if (shell !== this.#shell || shell.drawn - shell.told < SHOWN_STEP) return;
      shell.told = shell.drawn;
      this.#tell({ shown: shell.drawn });
    });
  }

  #closed({ by, code, reason, action }: Closed): void {
    const shell = this.#shell;
    this.#shell = undefined;
    if (shell?.exit === undefined && this.#socket?.state.status === "connecting") {
      const said = by === "server" && code !== GOING_AWAY ? reason : "";
      // Attempts after the first one that failed have nothing new to tell of the shell.
      if (said !== "" || shell !== undefined) this.#end(said || LOST, "lost");
      return;
    }
    this.#socket = undefined;
    this.#end(shell?.exit ?? reason, action === "signIn" ? "refused" : "ended");
  }

  #end(text: string, how: Ended["how"]): void {
    this.#listener.ended({ text, how });
  }
}

function describe({ code, signal }: { code: number; signal: string | null }): string {
  if (signal !== null) return `The shell was ended: ${signal.toLowerCase()}.`;
  return code === 0 ? "The shell has ended." : `The shell has ended with code ${code}.`;
}
