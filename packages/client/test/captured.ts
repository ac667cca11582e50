// The frames that were captured from the original implementation of the wire; the Rust tests read the same file.

import { readFileSync } from "node:fs";

interface Captured {
  readonly wire: "json" | "msgpack";
  readonly fromClient: boolean;
  /** As a socket hands it over. */
  readonly data: string | ArrayBuffer;
}

export interface Frame {
  readonly socka: string;
  readonly v: number;
  readonly id: string;
  readonly rpc: string;
  readonly event: string;
  readonly body: unknown;
}

export function captured(wire: Captured["wire"]): readonly Captured[] {
  const path = new URL("../../../crates/wirelark-proto/tests/vectors/socka-v1.jsonl", import.meta.url);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines
    .map((line) => JSON.parse(line) as { wire: Captured["wire"]; dir: string; text?: string; hex?: string })
    .map(({ wire, dir, text, hex }) => ({
      wire,
      fromClient: dir === "client_to_server",
      data: text ?? new Uint8Array(Buffer.from(hex ?? "", "hex")).buffer,
    }))
    .filter((frame) => frame.wire === wire);
}
