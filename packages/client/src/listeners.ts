// Who is told of what. Listeners run one after the other, in the order in which they were added.

/** Takes a listener away again. */
export type Unsubscribe = () => void;

interface Entry<T> {
  readonly key: string;
  readonly listener: (value: T) => unknown;
  readonly once: boolean;
}

export class Listeners<T> {
  #entries: readonly Entry<T>[] = [];
  readonly #failed: (error: unknown, key: string) => void;

  /** `failed` hears what listeners throw, or reject with. */
  constructor(failed: (error: unknown, key: string) => void) {
    this.#failed = failed;
  }

  add(key: string, listener: (value: T) => unknown, once = false): Unsubscribe {
    const entry = { key, listener, once };
    this.#entries = [...this.#entries, entry];
    return () => this.#remove(entry);
  }

  /** Takes away the first that was added with this key and listener. */
  off(key: string, listener: (value: never) => unknown): void {
    const entry = this.#entries.find((it) => it.key === key && it.listener === listener);
    if (entry !== undefined) this.#remove(entry);
  }

  #remove(entry: Entry<T>): void {
    this.#entries = this.#entries.filter((it) => it !== entry);
  }

  has(key: string): boolean {
    return this.#entries.some((entry) => entry.key === key);
  }

  tell(key: string, value: T): void {
    for (const entry of this.#entries) {
      // Those that are taken away by one before them are not called any more.
      if (entry.key !== key || !this.#entries.includes(entry)) continue;
      if (entry.once) this.#remove(entry);
      this.call(entry.listener, key, value);
    }
  }

  call(listener: (value: T) => unknown, key: string, value: T): void {
    try {
      const returned = listener(value);
      // An async listener's failure would otherwise be nobody's.
      if (returned instanceof Promise) returned.catch((error: unknown) => this.#failed(error, key));
    } catch (error) {
      this.#failed(error, key);
    }
  }
}
