// Where the page begins: a terminal, a connection to a shell, and what there is to say about the two.

import { Connection, type Ended } from "./connection.js";
import { addKeys } from "./keys.js";
import { openScreen } from "./screen.js";
import "./page.css";

const screen = openScreen(element("screen"));
const connection = new Connection({
  size: () => screen.size,
  started,
  output: (bytes, drawn) => screen.write(bytes, drawn),
  ended,
});

/** Why the last shell is gone, if there was one. */
let before: Ended | undefined;

screen.onInput((bytes) => connection.type(bytes));
screen.onResize((size) => {
  showSize();
  connection.resize(size);
});
screen.onTitle((title) => {
  element("title").textContent = title || "Terminal";
  document.title = title || "Terminal";
});
addKeys(element("keys"), screen);
element("notice-button").addEventListener("click", () => connection.open());
showSize();
connection.open();

function started(): void {
  document.body.dataset.state = "open";
  element("notice").hidden = true;
  if (before !== undefined) {
    screen.rule(before.how === "lost" ? "The shell above was lost. This is a new one." : "A new shell.");
  }
  before = undefined;
  screen.focus();
}

function ended(ended: Ended): void {
  const { text, how } = ended;
  before = ended;
  document.body.dataset.state = how;
  element("notice").hidden = false;
  element("notice-text").textContent = how === "lost" ? `${text} Trying to get a new one…` : text;
  element("notice-button").hidden = how !== "ended";
  // Enter, then, is enough for another shell.
  if (how === "ended") element("notice-button").focus();
}

function showSize(): void {
  const [columns, rows] = screen.size;
  element("size").textContent = `${columns} × ${rows}`;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}
