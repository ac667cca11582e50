// A row of the keys that the keyboards of phones lack.

import type { Screen } from "./screen.js";

const ARROWS = { "↑": "A", "↓": "B", "→": "C", "←": "D" } as const;

export function addKeys(place: HTMLElement, screen: Screen): void {
  const add = (label: string, name: string, press: (key: HTMLButtonElement) => void) => {
    const key = document.createElement("button");
    key.type = "button";
    key.textContent = label;
    key.ariaLabel = name;
    // The terminal keeps the focus, and with it the phone's keyboard stays where it is.
    key.addEventListener("pointerdown", (event) => event.preventDefault());
    key.addEventListener("click", () => press(key));
    place.append(key);
    return key;
  };

  add("esc", "Escape", () => screen.type("\x1b"));
  add("tab", "Tab", () => screen.type("\t"));
  // It stays down for one letter.
  const control = add("ctrl", "Control", () => hold(control.ariaPressed !== "true"));
  const hold = (down: boolean) => {
    control.ariaPressed = String(down);
  };
  hold(false);
  screen.filterInput((text) => {
    if (control.ariaPressed !== "true") return text;
    hold(false);
    const code = text.toUpperCase().charCodeAt(0);
    return text.length === 1 && code >= 0x40 && code <= 0x5f ? String.fromCharCode(code & 0x1f) : text;
  });
  for (const [label, final] of Object.entries(ARROWS)) {
    add(label, label, () => screen.type(`\x1b${screen.applicationKeys ? "O" : "["}${final}`));
  }
}
