// `@wirelark/client/schema`: what generated modules are made of. Small validators that compose, each a Standard Schema.
//
// They judge a value as serde judges what it reads, and never change it: what nobody knows is left in. Nothing is
// looked up but what a value has itself, so that a key called `__proto__` is one like others.

import type { SchemaIssue, StandardSchema } from "./standard-schema.js";

export type { Contract } from "./contract.js";

/** A validator of values of one type. */
export interface Schema<T> extends StandardSchema<T> {
  /** Adds what is wrong with the value to `at`. */
  readonly check: Check;
}

type Check = (value: unknown, at: At) => void;

/** The type a schema is of. */
export type TypeOf<S> = S extends Schema<infer T> ? T : never;

interface Issue extends SchemaIssue {
  readonly path: readonly PropertyKey[];
  /** What says of a union's member that it was not meant: so many levels below the member, or above. */
  readonly foreign: number | undefined;
}

/** Where a check is, and what was found on the way. */
interface At {
  readonly path: PropertyKey[];
  readonly issues: Issue[];
}

/** Deepest value that is looked into. A server writes no deeper one, and the stack has room for it. */
const DEPTH_MAX = 128;
/** Nobody reads more. */
const ISSUES_MAX = 20;

function schema<T>(check: Check): Schema<T> {
  return {
    check,
    "~standard": {
      version: 1,
      vendor: "wirelark",
      validate: (value) => {
        const at: At = { path: [], issues: [] };
        check(value, at);
        const issues = at.issues.map(({ message, path }) => ({ message, path }));
        return issues.length > 0 ? { issues } : { value: value as T };
      },
    },
  };
}

function say(at: At, problem: string, foreign?: number): void {
  const path = [...at.path];
  const place = path.length > 0 ? path.map(String).join(".") : "the value";
  if (at.issues.length < ISSUES_MAX) at.issues.push({ message: `${place} ${problem}`, path, foreign });
}

function into(value: unknown, key: PropertyKey, { check }: Schema<unknown>, at: At): void {
  if (at.path.length >= DEPTH_MAX) return say(at, "is nested too deeply");
  at.path.push(key);
  check(value, at);
  at.path.pop();
}

function is<T>(fits: (value: unknown) => boolean, name: string, foreign = 0): Schema<T> {
  return schema((value, at) => {
    if (!fits(value)) say(at, `must be ${name}`, foreign);
  });
}

export const unknown: Schema<unknown> = is(() => true, "");
export const never: Schema<never> = is(() => false, "absent");
export const nil: Schema<null> = is((value) => value === null, "null");
export const boolean: Schema<boolean> = is((value) => typeof value === "boolean", "true or false");
export const string: Schema<string> = is((value) => typeof value === "string", "text");
export const number: Schema<number> = is((value) => typeof value === "number", "a number");

const integers = (min: number, max: number): Schema<number> =>
  is(
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
    `an integer from ${min} to ${max}`,
  );

const SAFE = Number.MAX_SAFE_INTEGER;

export const int8: Schema<number> = /* @__PURE__ */ integers(-(2 ** 7), 2 ** 7 - 1);
export const int16: Schema<number> = /* @__PURE__ */ integers(-(2 ** 15), 2 ** 15 - 1);
export const int32: Schema<number> = /* @__PURE__ */ integers(-(2 ** 31), 2 ** 31 - 1);
/** Of any size, as far as JavaScript's numbers are exact. */
export const integer: Schema<number> = /* @__PURE__ */ integers(-SAFE, SAFE);
export const uint8: Schema<number> = /* @__PURE__ */ integers(0, 2 ** 8 - 1);
export const uint16: Schema<number> = /* @__PURE__ */ integers(0, 2 ** 16 - 1);
export const uint32: Schema<number> = /* @__PURE__ */ integers(0, 2 ** 32 - 1);
/** Not negative, of any size, as far as JavaScript's numbers are exact. */
export const unsigned: Schema<number> = /* @__PURE__ */ integers(0, SAFE);

/** One of these values. */
export function literal<const T extends readonly (string | number | boolean | null)[]>(
  ...values: T
): Schema<T[number]> {
  const names = values.map((value) => JSON.stringify(value)).join(" or ");
  // A single one is the tag of a variant: whoever has another is another variant.
  return is((value) => values.includes(value as T[number]), names, values.length === 1 ? 1 : 0);
}

export function nullable<T>({ check }: Schema<T>): Schema<T | null> {
  return schema((value, at) => {
    if (value !== null) check(value, at);
  });
}

/** A schema that is there only later, because it contains itself. */
export function lazy<T>(of: () => Schema<T>): Schema<T> {
  return schema((value, at) => of().check(value, at));
}

/** What fits one of them at least. */
export function union<S extends readonly Schema<unknown>[]>(...schemas: S): Schema<TypeOf<S[number]>> {
  return schema((value, at) => {
    // Of an enum, the variant that was meant.
    const near: Issue[][] = [];
    for (const { check } of schemas) {
      const issues: Issue[] = [];
      check(value, { path: at.path, issues });
      if (issues.length === 0) return;
      const depth = at.path.length;
      const foreign = issues.some(
        ({ path, foreign }) => foreign !== undefined && path.length - foreign <= depth,
      );
      if (!foreign) near.push(issues);
    }
    const [only, other] = near;
    if (only === undefined || other !== undefined) return say(at, "fits none of the types it may have", 0);
    for (const issue of only) if (at.issues.length < ISSUES_MAX) at.issues.push(issue);
  });
}

type Intersection<S extends readonly Schema<unknown>[]> = S extends readonly [
  Schema<infer First>,
  ...infer Rest extends readonly Schema<unknown>[],
]
  ? First & Intersection<Rest>
  : unknown;

/** What fits all of them. */
export function all<S extends readonly Schema<unknown>[]>(...schemas: S): Schema<Intersection<S>> {
  return schema((value, at) => {
    for (const { check } of schemas) check(value, at);
  });
}

export function array<T>(items: Schema<T>): Schema<T[]> {
  return schema((value, at) => {
    if (!Array.isArray(value)) return say(at, "must be an array", 0);
    for (let index = 0; index < value.length; index += 1) into(value[index], index, items, at);
  });
}

/** An array of exactly these. */
export function tuple<S extends readonly Schema<unknown>[]>(
  ...items: S
): Schema<{ -readonly [Index in keyof S]: TypeOf<S[Index]> }> {
  return schema((value, at) => {
    if (!Array.isArray(value) || value.length !== items.length) {
      return say(at, `must be an array of ${items.length}`, 0);
    }
    items.forEach((item, index) => void into(value[index], index, item, at));
  });
}

/** A field that need not be there. */
export interface Optional<T> {
  readonly optional: Schema<T>;
}

export const optional = <T>(schema: Schema<T>): Optional<T> => ({ optional: schema });

export type Fields = Readonly<Record<string, Schema<unknown> | Optional<unknown>>>;

type Flat<T> = { [Key in keyof T]: T[Key] };

/** The type of an object with these fields. */
export type ObjectOf<F extends Fields> = Flat<
  { -readonly [Key in keyof F as F[Key] extends Optional<unknown> ? never : Key]: TypeOf<F[Key]> } & {
    -readonly [Key in keyof F as F[Key] extends Optional<unknown> ? Key : never]?: F[Key] extends Optional<
      infer T
    >
      ? T
      : never;
  }
>;

function fields(of: Fields, rest: (value: object, key: string, at: At) => void): Check {
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return say(at, "must be an object", 0);
    }
    const known = value as Readonly<Record<string, unknown>>;
    for (const [key, field] of Object.entries(of)) {
      const there = Object.hasOwn(known, key) ? known[key] : undefined;
      if (there !== undefined) into(there, key, "optional" in field ? field.optional : field, at);
      else if (!("optional" in field)) say(at, `must have ${JSON.stringify(key)}`);
    }
    for (const key of Object.keys(known)) {
      if (!Object.hasOwn(of, key) && known[key] !== undefined) rest(known, key, at);
    }
  };
}

/** An object with these fields, and any others. */
export function object<F extends Fields>(of: F): Schema<ObjectOf<F>> {
  return schema(fields(of, () => {}));
}

/** An object with these fields and no others. */
export function closed<F extends Fields>(of: F): Schema<ObjectOf<F>> {
  return schema(fields(of, (_, key, at) => say(at, `must not have ${JSON.stringify(key)}`, 0)));
}

/** An object of which every field is one of these, but for those named in `of`. */
export function record<T>(values: Schema<T>): Schema<{ [key: string]: T }>;
export function record<T, F extends Fields>(values: Schema<T>, of: F): Schema<RecordOf<T, F>>;
export function record(values: Schema<unknown>, of: Fields = {}): Schema<unknown> {
  return schema(
    fields(of, (value, key, at) => into((value as Record<string, unknown>)[key], key, values, at)),
  );
}

/** TypeScript wants the fields to be of the type of the others, too: each may be of any. */
export type RecordOf<T, F extends Fields> = Flat<
  ObjectOf<F> & { [key: string]: T | ObjectOf<F>[keyof ObjectOf<F>] }
>;

/** An object whose keys match. */
export function keyed<T>(keys: string, values: Schema<T>): Schema<{ [key: string]: T }> {
  const pattern = new RegExp(keys, "u");
  return schema(
    fields({}, (value, key, at) => {
      if (!pattern.test(key)) say(at, `has a key ${JSON.stringify(key)} that does not match ${keys}`, 0);
      else into((value as Record<string, unknown>)[key], key, values, at);
    }),
  );
}

/** More than being of a type: all of these, as far as they are given. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  readonly above?: number;
  readonly below?: number;
}

/** A number within bounds. */
export function bounded({ check }: Schema<number>, bounds: Bounds): Schema<number> {
  const { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity } = bounds;
  return schema((value, at) => {
    check(value, at);
    if (typeof value !== "number" || at.issues.length > 0) return;
    if (value < min || value > max || value <= above || value >= below) {
      say(at, `must be ${spoken(bounds)}`);
    }
  });
}

/** Text of so many characters, an array of so many items, an object of so many fields. */
export function sized<T extends string | readonly unknown[] | object>(
  { check }: Schema<T>,
  bounds: Pick<Bounds, "min" | "max">,
): Schema<T> {
  const { min = 0, max = Infinity } = bounds;
  return schema((value, at) => {
    check(value, at);
    const size = sizeOf(value);
    if (size !== undefined && (size < min || size > max)) say(at, `must have a length ${spoken(bounds)}`);
  });
}

/** Of characters, as Rust counts them, and not of half ones. */
function sizeOf(value: unknown): number | undefined {
  if (typeof value === "string") return [...value].length;
  return typeof value === "object" && value !== null ? Object.keys(value).length : undefined;
}

function spoken(bounds: Bounds): string {
  const words = { min: "at least", max: "at most", above: "more than", below: "less than" } as const;
  return Object.entries(bounds)
    .map(([bound, value]) => `${words[bound as keyof Bounds]} ${value}`)
    .join(" and ");
}

/** Text that matches a regular expression, as far as all of it must. */
export function matching({ check }: Schema<string>, expression: string): Schema<string> {
  const pattern = new RegExp(expression, "u");
  return schema((value, at) => {
    check(value, at);
    if (typeof value === "string" && !pattern.test(value)) say(at, `must match ${expression}`);
  });
}
