// What a tab remembers over a reload: how its reader wants to be called. Two tabs are two people.

const KEY = "name";
const ANIMALS = ["Badger", "Crane", "Dormouse", "Fox", "Heron", "Lark", "Lynx", "Marten", "Otter", "Owl"];
const MANNERS = ["Brave", "Calm", "Eager", "Gentle", "Keen", "Merry", "Nimble", "Quick", "Quiet", "Sunny"];

let name = stored() ?? `${anyOf(MANNERS)} ${anyOf(ANIMALS)}`;
keepName(name);

export function someName(): string {
  return name;
}

export function keepName(taken: string): void {
  name = taken;
  try {
    sessionStorage.setItem(KEY, taken);
  } catch {
    // The browser keeps nothing for this page. Then a reload is somebody new.
  }
}

function stored(): string | undefined {
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

function anyOf(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "";
}
