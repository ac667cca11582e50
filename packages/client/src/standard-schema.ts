// What a validator looks like, whoever wrote it: the interface of Standard Schema, version 1 (standardschema.dev),
// as far as this client uses it.

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    /** Never there at run time; the compiler reads it. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

type TypesOf<S> = S extends StandardSchema ? NonNullable<S["~standard"]["types"]> : never;

/** What a caller gives. */
export type InputOf<S> = TypesOf<S>["input"];
/** What comes out of it. */
export type OutputOf<S> = TypesOf<S>["output"];

/** A type without a check at run time: `unchecked<{ text: string }>()`. */
export function unchecked<T>(): StandardSchema<T> {
  return {
    "~standard": { version: 1, vendor: "wirelark", validate: (value) => ({ value: value as T }) },
  };
}
