// Where the page begins: tells where its reader points, and shows where everybody else does.

import { connect } from "@wirelark/client";
import { watchPresence } from "@wirelark/client/presence";
import { cursors } from "./cursors.js";
import { keepName, someName } from "./name.js";
import { hue, Pointers } from "./pointers.js";
import "./page.css";

/** The far edges of the page, as the contract has it. */
const EDGE = 65535;

const session = connect(cursors, { url: "/cursors" });
// Whoever enters is told who is there: it is also what there is to do after each lost connection.
const presence = watchPresence<typeof cursors, "presence", string>(session, "presence", {
  watch: () => enter(someName()),
});
const pointers = new Pointers(element("stage"), element<HTMLTemplateElement>("pointer"));
const input = element<HTMLInputElement>("name");

/** The reader's own id, as long as the connection lasts. */
let me: string | undefined;
/** Where the reader points, until it is told. */
let place: { x: number; y: number } | undefined;
/** Why the reader has not the name that was typed. */
let refused: Error | undefined;
let skipped = 0;

async function enter(name: string): Promise<void> {
  me = await session.call.enter({ name });
  showPeople();
}

presence.subscribe(showPeople);
session.on("moved", ({ id, x, y }) => pointers.move(id, x / EDGE, y / EDGE));
session.onStatus(showStatus);
session.onGap(({ missed }) => {
  skipped += missed;
  const places = skipped === 1 ? "One place was" : `${skipped.toLocaleString("en")} places were`;
  element("skipped").textContent = `${places} skipped, because this page was too slow for them.`;
});

// At most once a frame: nobody sees more than that.
addEventListener("pointermove", ({ clientX, clientY }) => {
  if (place === undefined) requestAnimationFrame(tellPlace);
  place = { x: part(clientX, innerWidth), y: part(clientY, innerHeight) };
});

input.value = someName();
input.addEventListener("change", rename);
element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  input.blur();
});

function tellPlace(): void {
  const newest = place;
  place = undefined;
  // Where somebody pointed while there was no connection is of no interest once there is one.
  if (newest !== undefined && session.status === "open") session.send.point(newest);
}

async function rename(): Promise<void> {
  refused = undefined;
  try {
    await enter(input.value);
    keepName(input.value);
  } catch (error) {
    refused = error as Error;
  }
  showPeople();
}

function showPeople(): void {
  const { members, loading, error } = presence.state;
  document.body.classList.toggle("loading", loading);
  element("count").textContent = `${members.length}`;
  element("people").replaceChildren(...members.map((member) => person(member.visitor ?? "", member.meta)));
  element("invitation").hidden = loading || members.length > 1;
  element("error").textContent = (refused ?? error)?.message ?? "";
  pointers.keep(new Map(members.map((member) => [member.visitor ?? "", member.meta])));
}

function person(id: string, name: string): HTMLElement {
  const item = document.createElement("li");
  item.append(text("span", name));
  if (id === me) item.append(text("small", "you"));
  item.style.setProperty("--hue", `${hue(id)}`);
  return item;
}

function text(tag: "span" | "small", content: string): HTMLElement {
  return Object.assign(document.createElement(tag), { textContent: content });
}

function showStatus(): void {
  const { status, closed } = session;
  const gone = `The server has closed the connection: ${closed?.reason || closed?.code}. Load this page again.`;
  const texts: Partial<Record<typeof status, string>> = { reconnecting: "Reconnecting…", closed: gone };
  element("status").textContent = texts[status] ?? "";
}

/** How far something is along a side. A finger may well leave the page. */
function part(at: number, length: number): number {
  return Math.round(EDGE * Math.min(1, Math.max(0, at / length)));
}

function element<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as Kind;
}
