// `@wirelark/client/presence`: who is in a room, kept up to date from what the server tells: a snapshot, and then diffs.
//
// The list is what the server says it is, or it is loading. It is never a guess: where a diff is missing, nothing is
// believed until the next snapshot.

import type { Contract, PushBody, PushName, Session } from "@wirelark/client";

/** Who somebody is: a user, on all devices, or a visitor who has not signed in, by connection. */
export interface MemberId {
  readonly user?: string | null | undefined;
  readonly visitor?: string | null | undefined;
}

/** Somebody in a room. */
export interface Member<Meta = unknown> extends MemberId {
  readonly meta: Meta;
}

/** Everybody who is there. */
export interface Snapshot<Meta = unknown> {
  readonly seq: number;
  readonly snapshot: readonly Member<Meta>[];
  /** How many messages it has, this one included. */
  readonly parts?: number | null | undefined;
}

/** What has changed; or, with `part`, more of the snapshot. */
export interface Diff<Meta = unknown> {
  readonly seq: number;
  readonly part?: number | null | undefined;
  readonly joined: readonly Member<Meta>[];
  readonly updated: readonly Member<Meta>[];
  readonly left: readonly MemberId[];
}

/** What the server tells. */
export type News<Meta = unknown> = Snapshot<Meta> | Diff<Meta>;

/** What there is to know at one moment. */
export interface PresenceState<Meta = unknown> {
  /** Sorted by id, users first. While `loading`, those who were there before the connection was lost. */
  readonly members: readonly Member<Meta>[];
  /** Whether the server has yet to say who is there. */
  readonly loading: boolean;
  /** Why watching failed, where it is asked for by a call. */
  readonly error: Error | undefined;
}

/** A list that is fed by hand: with news of a raw socket, say. */
export class PresenceList<Meta = unknown> {
  #state: PresenceState<Meta> = { members: [], loading: true, error: undefined };
  readonly #listeners = new Set<() => void>();

  /** Those the server has told of; `undefined` while there is no whole snapshot. */
  #members: Map<string, Member<Meta>> | undefined;
  #seq = 0;
  /** Which part of a snapshot comes next, and how many there are. */
  #part = 0;
  #parts = 0;

  /** What there is to know now: another object after each change, and only then. */
  get state(): PresenceState<Meta> {
    return this.#state;
  }

  /** Calls `listener` after each change of the state. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The server has told something. `false` where these news show that others were missed, once for each snapshot: it is
   * time to ask for another.
   */
  receive(news: News<Meta>): boolean {
    if ("snapshot" in news) {
      this.#members = new Map();
      this.#seq = news.seq;
      this.#part = 2;
      this.#parts = news.parts ?? 1;
      this.#join(news.snapshot);
    } else {
      if (this.#members === undefined) return true;
      if (!this.#follows(news)) {
        this.lost();
        return false;
      }
      this.#join(news.joined);
      this.#join(news.updated);
      for (const id of news.left) this.#members.delete(keyOf(id));
    }
    if (this.#part > this.#parts) this.#tell();
    return true;
  }

  /** The connection is gone, or something was missed: nothing is certain before the next snapshot. */
  lost(): void {
    this.#members = undefined;
    if (!this.#state.loading) this.#change({ loading: true });
  }

  /** Watching has failed. */
  failed(error: Error): void {
    this.#change({ error });
  }

  /** Whether nothing is missing before these news. */
  #follows({ seq, part }: Diff<Meta>): boolean {
    if (part !== undefined && part !== null) {
      const next = seq === this.#seq && part === this.#part && part <= this.#parts;
      this.#part += 1;
      return next;
    }
    const next = seq === this.#seq + 1 && this.#part > this.#parts;
    this.#seq = seq;
    return next;
  }

  #join(members: readonly Member<Meta>[]): void {
    for (const member of members) this.#members?.set(keyOf(member), member);
  }

  #tell(): void {
    const members = [...(this.#members ?? [])]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, member]) => member);
    this.#change({ members, loading: false, error: undefined });
  }

  #change(change: Partial<PresenceState<Meta>>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Tells members apart; users come first where it is sorted by. */
function keyOf({ user, visitor }: MemberId): string {
  return typeof user === "string" ? `u${user}` : `v${visitor}`;
}

/** Who has this id: a user, or else a visitor. */
export function memberOf<Meta>(
  members: readonly Member<Meta>[],
  id: string | undefined,
): Member<Meta> | undefined {
  if (id === undefined) return undefined;
  return members.find(({ user }) => user === id) ?? members.find(({ visitor }) => visitor === id);
}

/** The names of a contract's pushes that carry news. */
export type NewsName<C extends Contract> = {
  [Name in PushName<C>]: PushBody<C, Name> extends News ? Name : never;
}[PushName<C>];

export interface WatchOptions {
  /**
   * Has the server begin to watch, or tell everything anew: a call of yours, made whenever somebody wants to know and the
   * session is open, and when news were missed. Without it the server must watch for each session by itself, and whoever
   * subscribes late, or misses something, has to wait for a snapshot that may not come.
   */
  readonly watch?: (() => unknown) | undefined;
}

/** The presence of a session's room, for as long as somebody listens. */
export class Presence<Meta = unknown> {
  readonly #list = new PresenceList<Meta>();
  readonly #attach: (list: PresenceList<Meta>, presence: Presence<Meta>) => () => void;
  #detach: (() => void) | undefined;
  #listeners = 0;
  /** How watching is asked for; that of whoever has said it last. */
  watch: (() => unknown) | undefined;

  constructor(attach: (list: PresenceList<Meta>, presence: Presence<Meta>) => () => void) {
    this.#attach = attach;
  }

  /** What there is to know now: another object after each change, and only then. */
  get state(): PresenceState<Meta> {
    return this.#list.state;
  }

  /** Calls `listener` after each change of the state. */
  subscribe(listener: () => void): () => void {
    // A listener of its own each time: the same function may be added twice.
    const unsubscribe = this.#list.subscribe(() => listener());
    this.#listeners += 1;
    this.#detach ??= this.#attach(this.#list, this);
    let subscribed = true;
    return () => {
      if (!subscribed) return;
      subscribed = false;
      unsubscribe();
      this.#listeners -= 1;
      // StrictMode and fast refresh come back at once.
      queueMicrotask(() => this.#leave());
    };
  }

  #leave(): void {
    if (this.#listeners > 0 || this.#detach === undefined) return;
    this.#detach();
    this.#detach = undefined;
    this.#list.lost();
  }
}

/** Kept by session and push, so that all who ask share one list, and one call to watch. */
const presences = new WeakMap<object, Map<string, Presence<never>>>();

/**
 * Who is in the room of a session whose contract has a push of news, such as `#[push] fn presence(#[body] news: News);`.
 *
 * ```ts
 * const presence = watchPresence(session, "presence", { watch: () => session.call.watch() });
 * presence.subscribe(() => console.log(presence.state.members));
 * ```
 */
export function watchPresence<C extends Contract, Name extends NewsName<C>, Meta = unknown>(
  session: Session<C>,
  push: Name & PushName<C>,
  { watch }: WatchOptions = {},
): Presence<Meta> {
  const ofSession = presences.get(session) ?? new Map<string, Presence<never>>();
  presences.set(session, ofSession);
  const presence =
    (ofSession.get(push) as Presence<Meta> | undefined) ??
    new Presence<Meta>((list, presence) => follow(session, push, list, presence));
  ofSession.set(push, presence as unknown as Presence<never>);
  presence.watch = watch ?? presence.watch;
  return presence;
}

/** Feeds a list with what a session hears. What comes back ends it. */
function follow<C extends Contract, Meta>(
  session: Session<C>,
  push: PushName<C>,
  list: PresenceList<Meta>,
  presence: Presence<Meta>,
): () => void {
  const ask = async () => {
    try {
      await presence.watch?.();
    } catch (error) {
      // One that comes too late is about a connection that is gone: there is another try with the next.
      if (session.status === "open") list.failed(error as Error);
    }
  };
  // A server does not know what was missed here: who does not ask may wait for a snapshot for ever.
  const offPush = session.on(push, (news) => list.receive(news as unknown as News<Meta>) || ask());
  const offStatus = session.onStatus((status) => (status === "open" ? ask() : list.lost()));
  return () => {
    offPush();
    offStatus();
  };
}
