// Why there is no answer. Every error of this package is a `WirelarkError`; the classes say what can be done.

import { OTHER_VERSION } from "./close-codes.js";
import { type Closed, describe } from "./closed.js";
import type { SchemaIssue } from "./standard-schema.js";

/** The class of all errors of this package. */
export class WirelarkError extends Error {
  override name = "WirelarkError";
}

/** An option, or a contract, is not what it must be. Thrown where it was given. */
export class OptionError extends WirelarkError {
  override name = "OptionError";
}

/** The server answered that the call has failed. */
export class ServerError extends WirelarkError {
  override name = "ServerError";
  /** For programs, such as `FORBIDDEN`. */
  readonly code: string | undefined;
  /** More about it. It comes from the network and was not checked. */
  readonly data: unknown;
  /** The name of the call, if the server said it. */
  readonly call: string | undefined;
  /** The id of the request, as it was sent. */
  readonly requestId: string;

  constructor(refused: {
    id: string;
    error: string;
    rpc?: string | undefined;
    code?: string | undefined;
    data?: unknown;
  }) {
    super(refused.error);
    this.code = refused.code;
    this.data = refused.data;
    this.call = refused.rpc;
    this.requestId = refused.id;
  }
}

/** The connection ended while a call waited, or could not be made. */
export class DisconnectedError extends WirelarkError {
  override name = "DisconnectedError";
  readonly closed: Closed;
  /** Whether the server may have got the call. If not, it is safe to call again. */
  readonly sent: boolean;

  constructor(closed: Closed, sent: boolean, message = `the connection ended ${describe(closed)}`) {
    super(message);
    this.closed = closed;
    this.sent = sent;
  }
}

/** The server has another version of the contract, or another contract. A page that is loaded anew may have the right one. */
export class OtherVersionError extends DisconnectedError {
  override name = "OtherVersionError";
  /** The name of the contract this client was made for. */
  readonly contract: string;

  constructor(contract: string, closed: Closed, sent: boolean) {
    super(
      closed,
      sent,
      `the server does not speak this version of the contract ${contract}: ${closed.reason}`,
    );
    this.contract = contract;
  }
}

/** The client is closed, or was closed by its own end meanwhile; `connect` opens it again. */
export class ClosedError extends WirelarkError {
  override name = "ClosedError";
  readonly closed: Closed;

  constructor(closed: Closed) {
    super(`the client was closed ${describe(closed)}`);
    this.closed = closed;
  }
}

/** It did not come in time. The server is not told: it may still do what it was asked. */
export class TimeoutError extends WirelarkError {
  override name = "TimeoutError";
  /** Whether the server may have got the call. If not, it never will. */
  readonly sent: boolean;

  constructor(message: string, sent: boolean) {
    super(message);
    this.sent = sent;
  }
}

/** The caller's signal was aborted; its reason is the `cause`. */
export class AbortError extends WirelarkError {
  override name = "AbortError";
  /** Whether the server may have got the call. If not, it never will. */
  readonly sent: boolean;

  constructor(cause: unknown, sent: boolean) {
    super("nobody waits for it any more: its signal was aborted", { cause });
    this.sent = sent;
  }
}

/** There is no room: for what waits to be sent, or for calls that wait for their answers. */
export class FullError extends WirelarkError {
  override name = "FullError";

  constructor() {
    super("the client has no room for more: wait for some of what it has to do, or allow it more");
  }
}

/** The input cannot be written. Nothing was sent. */
export class EncodeError extends WirelarkError {
  override name = "EncodeError";
}

/** What arrived is not what it should be. */
export class DecodeError extends WirelarkError {
  override name = "DecodeError";
  /** What a validator said, if one did. */
  readonly issues: readonly SchemaIssue[];

  constructor(message: string, issues: readonly SchemaIssue[] = [], options?: ErrorOptions) {
    super(message, options);
    this.issues = issues;
  }
}

/** The error of something that a lost connection took with it. */
export function disconnected(contract: string, closed: Closed, sent: boolean): DisconnectedError {
  return closed.code === OTHER_VERSION
    ? new OtherVersionError(contract, closed, sent)
    : new DisconnectedError(closed, sent);
}

/** What somebody else's error says. Anything can be thrown. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
