// Runs the validators of a contract over what arrived.

import { DecodeError } from "./errors.js";
import type { SchemaResult, StandardSchema } from "./standard-schema.js";

/** What the validator makes of a value that arrived; throws a `DecodeError` if it is none of its. */
export function validate(schema: StandardSchema, value: unknown): unknown {
  const result = judge(schema, value);
  if (result.issues === undefined) return result.value;
  const messages = result.issues.map((issue) => issue.message).join("; ");
  throw new DecodeError(messages || "Validation failed", result.issues);
}

function judge(schema: StandardSchema, value: unknown): SchemaResult<unknown> {
  try {
    const result = schema["~standard"].validate(value);
    if (!("then" in result)) return result;
  } catch (cause) {
    throw new DecodeError("a validator threw", [], { cause });
  }
  // Nothing may wait here: what comes behind would overtake it, or pile up.
  throw new DecodeError("a validator returned a promise: only those that answer at once can be used here");
}
