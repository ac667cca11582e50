// A contract as its clients see it: plain data, and the types that follow from it.

import type { InputOf, OutputOf, StandardSchema } from "./standard-schema.js";

/**
 * What a server and its clients share. Types are inferred from the validators; one that only carries a type is
 * `unchecked<T>()`.
 */
export interface Contract {
  readonly name: string;
  /** Which version it is, as `Contract::describe().hash()` says in Rust. Without one nobody compares versions. */
  readonly hash?: string;
  readonly calls?: Readonly<Record<string, CallDefinition>>;
  /** What the server does not answer. */
  readonly sends?: Readonly<Record<string, SendDefinition>>;
  /** What the server sends by itself. */
  readonly pushes?: Readonly<Record<string, PushDefinition>>;
}

export interface CallDefinition {
  /** What a caller gives; checked by the server. */
  readonly input?: StandardSchema;
  /** What the server answers; checked here. Without one nothing comes back. */
  readonly output?: StandardSchema;
}

export interface SendDefinition {
  readonly input?: StandardSchema;
}

export interface PushDefinition {
  readonly body?: StandardSchema;
}

type Definitions<C extends Contract, Kind extends "calls" | "sends" | "pushes"> =
  C[Kind] extends Readonly<Record<string, unknown>> ? C[Kind] : Readonly<Record<never, never>>;

type Answer<D> = D extends { readonly output: infer S } ? OutputOf<S> : void;

/** A function of what a definition takes: an input that may be left out if it may be empty, and options. */
type Taking<D, Options, Returned> = D extends { readonly input: infer S }
  ? Record<never, never> extends InputOf<S>
    ? (input?: InputOf<S>, options?: Options) => Returned
    : (input: InputOf<S>, options?: Options) => Returned
  : (input?: undefined, options?: Options) => Returned;

/** The calls of a contract, as functions. */
export type Calls<C extends Contract, Options> = {
  readonly [Name in keyof Definitions<C, "calls">]: Taking<
    Definitions<C, "calls">[Name],
    Options,
    Promise<Answer<Definitions<C, "calls">[Name]>>
  >;
};

/** The sends of a contract, as functions. */
export type Sends<C extends Contract> = {
  readonly [Name in keyof Definitions<C, "sends">]: Taking<Definitions<C, "sends">[Name], never, void>;
};

/** The names of a contract's calls. */
export type CallName<C extends Contract> = keyof Definitions<C, "calls"> & string;

/** The names of a contract's pushes. */
export type PushName<C extends Contract> = keyof Definitions<C, "pushes"> & string;

/** What a push of this name carries. */
export type PushBody<C extends Contract, Name extends PushName<C>> = Definitions<C, "pushes">[Name] extends {
  readonly body: infer S;
}
  ? OutputOf<S>
  : undefined;

/** A definition that a contract has itself: names come from the network, and `toString` is one too. */
export function definition<D>(of: Readonly<Record<string, D>> | undefined, name: string): D | undefined {
  return of !== undefined && Object.hasOwn(of, name) ? of[name] : undefined;
}
