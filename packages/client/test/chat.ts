// A contract of which there is one of everything, with validators written by hand.

import { type Report, type StandardSchema, type Status, unchecked } from "@wirelark/client";

/** A validator that says `problem` of what `is` no value of its type. */
export function schema<T>(is: (value: unknown) => boolean, problem: string): StandardSchema<T> {
  return {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) => (is(value) ? { value: value as T } : { issues: [{ message: problem }] }),
    },
  };
}

export const hasText = schema<{ text: string }>(
  (value) => typeof (value as { text?: unknown } | undefined)?.text === "string",
  "text must be a string",
);

/** One that changes what it is given: the length of a text. */
const length: StandardSchema<string, number> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value) =>
      typeof value === "string"
        ? { value: value.length }
        : { issues: [{ message: "not text" }, { message: "at all" }] },
  },
};

export const chat = {
  name: "Chat",
  hash: "0123456789abcdef",
  calls: {
    say: { input: hasText, output: hasText },
    count: { output: length },
    quiet: { input: unchecked<{ on?: boolean }>() },
  },
  sends: { typing: {}, move: { input: unchecked<{ x: number }>() } },
  pushes: { said: { body: hasText }, tick: { body: unchecked<number>() }, cleared: {} },
} as const;

/** Takes reports and statuses, to be looked at later. */
export function recorder() {
  const reports: Report[] = [];
  const statuses: Status[] = [];
  return {
    reports,
    statuses,
    /** What was reported since it was asked last, as `kind name: text`. */
    takeReports: () =>
      reports.splice(0).map(({ kind, name, error }) => `${kind} ${name}: ${(error as Error).message}`),
    options: {
      onReport: (report: Report) => void reports.push(report),
      onStatus: (status: Status) => void statuses.push(status),
    },
  };
}

/** The error a promise rejects with, and a failure if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("the promise was not rejected with an error");
}
