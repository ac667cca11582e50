// Runs the validators of a contract over what arrived.

import { DecodeError, textOf } from "./errors.js";
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
    // Nothing may wait here: what comes behind would overtake it, or pile up.
    throw new Error("it must answer at once, and not with a promise");
  } catch (cause) {
    throw new DecodeError(`the validator failed: ${textOf(cause)}`, [], { cause });
  }
}
