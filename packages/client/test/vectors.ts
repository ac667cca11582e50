// Frames in both formats, and frames that are refused; the Rust tests read the same file.

import { readFileSync } from "node:fs";

interface Line {
  readonly name: string;
  readonly from?: "client" | "server";
  readonly text?: string;
  readonly hex?: string;
  readonly refused?: string;
}

const path = new URL("../../../crates/wirelark-proto/tests/vectors/wirelark-v1.jsonl", import.meta.url);
const lines = readFileSync(path, "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Line);

/** As a socket hands it over. */
function bytes(hex: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(hex, "hex")).buffer;
}

/** What one side sends, in both formats. */
export function frames(from: "client" | "server") {
  return lines
    .filter((line) => line.from === from)
    .map(({ name, text = "", hex = "" }) => ({ name, text, bytes: bytes(hex) }));
}

/** What nobody may send, in one of the formats, and what is said of it. */
export const refused = lines
  .filter((line) => line.refused !== undefined)
  .map(({ name, text, hex = "", refused = "" }) => ({
    name,
    data: text ?? bytes(hex),
    isText: text !== undefined,
    why: refused,
  }));
