// What lets this browser in: the token in the address that the server printed, once, and from then on the key it was
// given for it.

const KEY = "terminal-key";

/** The part of the address behind the `#`, which browsers keep to themselves. */
export function token(): string | null {
  return location.hash.slice(1) || null;
}

export function key(): string | null {
  return localStorage.getItem(KEY);
}

/** The token is spent: it need not stand in the address any longer. */
export function keepKey(key: string): void {
  localStorage.setItem(KEY, key);
  history.replaceState(null, "", location.pathname);
}
