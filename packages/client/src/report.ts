// What went wrong that no caller is told about.

/** Something that went wrong and that no promise rejects with. */
export interface Report {
  readonly kind: ReportKind;
  /** Which call, send or push, where it is known. */
  readonly name: string | undefined;
  /** What went wrong: an `Error`, or whatever a listener threw. */
  readonly error: unknown;
}

export type ReportKind =
  /** A listener threw or rejected. The others were called all the same. */
  | "listener"
  /** A push's body is not what the contract says. Its listeners were not called. */
  | "invalidPush"
  /** The server could not do what it was sent. */
  | "sendFailed"
  /** A send was queued, and the client was closed before it left. */
  | "sendLost"
  /** The server says that a call has failed which was never made. */
  | "orphanError"
  /** The server answered what is only sent. */
  | "unexpectedResponse"
  /** The server sent what is no frame of a contract, or not one for clients. The connection stays. */
  | "malformed";

/** Takes reports. */
export type Reports = (kind: ReportKind, error: unknown, name?: string) => void;

/** Reports that go to `sink`, or to the console without one. */
export function reportsTo(sink: ((report: Report) => void) | undefined): Reports {
  return (kind, error, name) => {
    try {
      if (sink !== undefined) return sink({ kind, name, error });
    } catch (failure) {
      // A sink that throws harms nobody: reports are made in the middle of reading.
      console.error("wirelark: the sink for reports threw", failure);
    }
    console.error(`wirelark: ${kind}${name === undefined ? "" : ` ${name}`}:`, error);
  };
}
