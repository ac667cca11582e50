// Where the page begins. What there is, is asked for once for each connection; what becomes of it is pushed.

import { backoff, openSocket } from "@wirelark/client/raw";
import { type Order, show } from "./orders.js";
import "./page.css";

const user = asked();
const query = `user=${encodeURIComponent(user)}`;

element("user").textContent = user;
element<HTMLAnchorElement>("again").href = `/?${query}`;
if (user === "bob") element<HTMLAnchorElement>("other").href = "/?user=ada";
const form = element<HTMLFormElement>("form");
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void order();
});

const socket = openSocket({
  url: `/my/notifications?${query}`,
  reconnect: backoff({ initial: 500, max: 10_000 }),
  // Not before: what moves on between an answer and the connection would be missed.
  onOpen: () => void refresh(),
  onMessage: (message) => show(JSON.parse(String(message))),
});
socket.subscribe(showLink);
showLink();

function showLink(): void {
  const { status, closed } = socket.state;
  const trying = closed === undefined ? "Connecting…" : "Reconnecting…";
  const link = element("link");
  const text = { open: "Live", connecting: trying, closed: "Disconnected. Reload the page." }[status];
  // Only what changes is read out.
  if (link.textContent !== text) link.textContent = text;
  link.dataset.status = status;
}

async function refresh(): Promise<void> {
  const answer = await ask();
  if (answer?.ok) for (const order of (await answer.json()) as Order[]) show(order);
  // Without an answer the connection is gone as well, and the next one asks again.
  else if (answer) complain(await answer.text());
}

async function order(): Promise<void> {
  const item = String(new FormData(form).get("item"));
  complain("");
  const headers = { "content-type": "application/json" };
  const answer = await ask({ method: "POST", headers, body: JSON.stringify({ item }) });
  if (answer === undefined) return complain("The shop did not answer. Look below before you order again.");
  if (!answer.ok) return complain(await answer.text());
  show(await answer.json());
  form.reset();
}

/** The answer of the shop, if there is one. */
function ask(init: RequestInit = {}): Promise<Response | undefined> {
  return fetch(`/my/orders?${query}`, init).catch(() => undefined);
}

/** Who the address says is here. */
function asked(): string {
  const name = new URLSearchParams(location.search).get("user") ?? "";
  const plain = name.replace(/\p{Cc}/gu, "").trim();
  return [...plain].slice(0, 40).join("") || "ada";
}

function complain(text: string): void {
  element("wrong").textContent = text;
}

function element<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as E;
}
