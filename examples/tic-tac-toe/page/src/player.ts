// What a tab remembers over a reload: who plays in it. Two tabs are two players, so that one can play with oneself.

/** By this the server knows the player again. A secret between the two. */
export const player: string = stored("player") ?? keep("player", random());

/** The name that was taken at the table, if it was. */
export function playerName(): string | undefined {
  return stored("name");
}

export function keepName(name: string): void {
  keep("name", name);
}

function stored(key: string): string | undefined {
  try {
    return sessionStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

function keep(key: string, value: string): string {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // The browser keeps nothing for this page. Then a reload is somebody new.
  }
  return value;
}

/** 128 random bits. */
function random(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
