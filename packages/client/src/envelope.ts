// The frames of socka's wire, version 1. Keys are written in this order, and absent ones are left out.

/** A call or a send. */
export interface Request {
  readonly socka: "clientRequest";
  readonly v: 1;
  readonly id: string;
  readonly rpc: string;
  readonly body: object;
}

/** What a server sends. */
export type Envelope =
  | { readonly socka: "serverResponse"; readonly id: string; readonly rpc: string; readonly body: unknown }
  | {
      readonly socka: "serverError";
      readonly id: string;
      readonly error: string;
      readonly rpc: string | undefined;
      readonly code: string | undefined;
      readonly data: unknown;
    }
  | { readonly socka: "serverEvent"; readonly event: string; readonly body: unknown };

export function request(id: string, rpc: string, body: object): Request {
  return { socka: "clientRequest", v: 1, id, rpc, body };
}

/** Judges a decoded frame, with the checks of the original in its order. Throws what is wrong with it. */
export function envelope(value: unknown): Envelope {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("socka: expected a JSON object");
  }
  const { socka, v, id, rpc, body, error, code, data, event } = value as Readonly<Record<string, unknown>>;
  if (socka === undefined) throw new Error('socka: missing "socka" discriminator');
  if (v !== 1) throw new Error("socka: unsupported wire version");
  if (socka === "serverResponse" && typeof id === "string" && typeof rpc === "string") {
    return { socka, id, rpc, body };
  }
  if (socka === "serverError" && typeof id === "string" && typeof error === "string") {
    return { socka, id, error, rpc: text(rpc), code: text(code), data };
  }
  if (socka === "serverEvent" && typeof event === "string") return { socka, event, body };
  if (socka === "clientRequest") throw new Error("socka: unexpected client-originated frame from server");
  throw new Error(`socka: unknown or invalid frame kind ${socka}`);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
