// What the reader sees and types into: xterm.js, in the colours of the page, as large as its place.

import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import type { Size } from "./connection.js";

/** Ends whatever a program that is gone has left on: its own screen, its mouse, its marks around what is pasted. */
const AS_BEFORE = "\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[!p\x1b[0m";

export interface Screen {
  readonly size: Size;
  /** Shows bytes of the shell; calls `drawn` once they are on the screen. */
  write(bytes: Uint8Array, drawn: () => void): void;
  /** A line of ours across the screen, with what is above it kept. */
  rule(text: string): void;
  /** As if the reader had typed it. */
  type(text: string): void;
  focus(): void;
  /** Whether arrows are to be typed as applications want them, rather than as shells do. */
  readonly applicationKeys: boolean;
  onInput(listener: (bytes: Uint8Array) => void): void;
  onResize(listener: (size: Size) => void): void;
  onTitle(listener: (title: string) => void): void;
  /** What is done to each text before it counts as typed. */
  filterInput(filter: (text: string) => string): void;
}

export function openScreen(place: HTMLElement): Screen {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const terminal = new Terminal({
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
    fontSize: matchMedia("(max-width: 40rem)").matches ? 13 : 15,
    scrollback: 10_000,
    theme: dark.matches ? DARK : LIGHT,
    minimumContrastRatio: 4.5,
  });
  dark.addEventListener("change", () => {
    terminal.options.theme = dark.matches ? DARK : LIGHT;
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();
  new ResizeObserver(() => fit.fit()).observe(place);

  const encoder = new TextEncoder();
  let filter = (text: string) => text;
  return {
    get size(): Size {
      return [terminal.cols, terminal.rows];
    },
    get applicationKeys() {
      return terminal.modes.applicationCursorKeysMode;
    },
    write: (bytes, drawn) => terminal.write(bytes, drawn),
    rule(text) {
      const line = ` ${text} `.padStart(text.length + 5, "─").padEnd(terminal.cols, "─");
      terminal.write(`${AS_BEFORE}\r\n\x1b[33m${line.slice(0, terminal.cols)}\x1b[0m\r\n`);
    },
    type: (text) => terminal.input(text),
    focus: () => terminal.focus(),
    onInput(listener) {
      terminal.onData((text) => listener(encoder.encode(filter(text))));
      // Reports of the mouse in its old form: each character is a byte.
      terminal.onBinary((bytes) => listener(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))));
    },
    onResize: (listener) => void terminal.onResize(({ cols, rows }) => listener([cols, rows])),
    onTitle: (listener) => void terminal.onTitleChange(listener),
    filterInput(changed) {
      filter = changed;
    },
  };
}

const LIGHT: ITheme = {
  background: "#ffffff",
  foreground: "#1c232d",
  cursor: "#0b7a5b",
  cursorAccent: "#ffffff",
  selectionBackground: "#bfe3d6",
  black: "#1c232d",
  red: "#b3261e",
  green: "#146c43",
  yellow: "#7a5b00",
  blue: "#1d56b8",
  magenta: "#8d2fa0",
  cyan: "#0a6a7c",
  white: "#d5dae1",
  brightBlack: "#5c6674",
  brightRed: "#c93a31",
  brightGreen: "#1d8554",
  brightYellow: "#8d6a00",
  brightBlue: "#2f6bd3",
  brightMagenta: "#a445b8",
  brightCyan: "#0d8096",
  brightWhite: "#f2f4f7",
};

const DARK: ITheme = {
  background: "#161b22",
  foreground: "#dbe2ea",
  cursor: "#4fd1a5",
  cursorAccent: "#161b22",
  selectionBackground: "#2c4a44",
  black: "#2a313c",
  red: "#ff8b80",
  green: "#6fd6a0",
  yellow: "#e6c46a",
  blue: "#82b4ff",
  magenta: "#dba2ee",
  cyan: "#6fd3e3",
  white: "#c4ccd6",
  brightBlack: "#8691a0",
  brightRed: "#ffaaa1",
  brightGreen: "#93e6b9",
  brightYellow: "#f2d88f",
  brightBlue: "#a7cbff",
  brightMagenta: "#e9c1f6",
  brightCyan: "#9be5f0",
  brightWhite: "#f4f7fa",
};
