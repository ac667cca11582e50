// The list of orders, which takes pictures of them as they come, in whatever order that is.

/** An order, as the server shows it. */
export interface Order {
  readonly id: number;
  readonly item: string;
  readonly percent: number;
  readonly attempt: number;
}

/** As many as the server lists. */
const SHOWN_MAX = 20;

const list = document.getElementById("orders") as HTMLOListElement;
const nothing = document.getElementById("nothing") as HTMLElement;

/** Shows an order as it is now. An answer that a push has overtaken is older than what is shown, and changes nothing. */
export function show(order: Order): void {
  const card = cards().find((card) => card.value === order.id) ?? added(order);
  const bar = card.querySelector("progress") as HTMLProgressElement;
  if (order.percent < bar.value) return;
  bar.value = order.percent;
  text(card, ".stage", stage(order));
  text(card, ".percent", `${order.percent} %`);
  text(card, ".note", order.attempt > 1 ? `Resumed after a restart: attempt ${order.attempt}` : "");
  card.classList.toggle("done", order.percent === 100);
}

/** A card for it, in its place: the newest come first. */
function added({ id, item }: Order): HTMLLIElement {
  const card = document.createElement("li");
  card.value = id;
  const bar = document.createElement("progress");
  bar.max = 100;
  bar.value = 0;
  bar.ariaLabel = item;
  card.append(line("item", "percent"), bar, line("stage", "note"));
  text(card, ".item", item);
  list.insertBefore(card, cards().find((card) => card.value < id) ?? null);
  for (const old of cards().slice(SHOWN_MAX)) old.remove();
  nothing.hidden = true;
  return card;
}

function stage({ percent }: Order): string {
  if (percent === 0) return "Ordered";
  if (percent < 35) return "Picking";
  if (percent < 70) return "Packing";
  return percent < 100 ? "On its way" : "Delivered";
}

function line(...names: string[]): HTMLElement {
  const line = document.createElement("p");
  for (const name of names) line.appendChild(document.createElement("span")).className = name;
  return line;
}

function text(card: HTMLElement, selector: string, text: string): void {
  (card.querySelector(selector) as HTMLElement).textContent = text;
}

function cards(): HTMLLIElement[] {
  return Array.from(list.children) as HTMLLIElement[];
}
