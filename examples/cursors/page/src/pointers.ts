// The pointers of the others: one for each who is there and has pointed somewhere.

/** Multiples of it are far apart on the wheel of colours, however many there are. */
const GOLDEN_ANGLE = 137.508;

export class Pointers {
  readonly #stage: HTMLElement;
  readonly #template: HTMLTemplateElement;
  readonly #pointers = new Map<string, HTMLElement>();

  constructor(stage: HTMLElement, template: HTMLTemplateElement) {
    this.#stage = stage;
    this.#template = template;
  }

  /** Has a pointer, unseen until it moves, for each of these and nobody else. */
  keep(names: ReadonlyMap<string, string>): void {
    for (const [id, pointer] of this.#pointers) {
      if (names.has(id)) continue;
      pointer.remove();
      this.#pointers.delete(id);
    }
    for (const [id, name] of names) {
      const pointer = this.#pointers.get(id) ?? this.#add(id);
      const label = pointer.querySelector(".label");
      if (label !== null) label.textContent = name;
    }
  }

  /** Moves a pointer to a place in parts of the stage. That of somebody who is not there is no more, or not yet, shown. */
  move(id: string, x: number, y: number): void {
    const pointer = this.#pointers.get(id);
    if (pointer === undefined) return;
    pointer.style.translate = `${x * 100}cqw ${y * 100}cqh`;
    pointer.hidden = false;
  }

  #add(id: string): HTMLElement {
    const pointer = this.#template.content.firstElementChild?.cloneNode(true) as HTMLElement;
    pointer.hidden = true;
    pointer.style.setProperty("--hue", `${hue(id)}`);
    this.#stage.append(pointer);
    this.#pointers.set(id, pointer);
    return pointer;
  }
}

/** The colour of somebody. It is made of the id, a hexadecimal number, and so the same on all pages. */
export function hue(id: string): number {
  let number = 0;
  for (const digit of id) number = (number * 16 + Number.parseInt(digit, 16)) % 9973;
  return Math.round((number * GOLDEN_ANGLE) % 360);
}
