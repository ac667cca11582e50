// `@wirelark/client`: sessions of a contract.

export { type CloseAction, CloseCode, closeAction } from "./close-codes.js";
export type { Closed } from "./closed.js";
export type {
  CallDefinition,
  CallName,
  Calls,
  Contract,
  PushBody,
  PushDefinition,
  PushName,
  SendDefinition,
  Sends,
} from "./contract.js";
export type { Gap } from "./core.js";
export {
  AbortError,
  ClosedError,
  DecodeError,
  DisconnectedError,
  EncodeError,
  FullError,
  OptionError,
  OtherVersionError,
  ServerError,
  TimeoutError,
  WirelarkError,
} from "./errors.js";
export { type Data, type Format, json } from "./format.js";
export type { Unsubscribe } from "./listeners.js";
export type { SessionOptions } from "./options.js";
export type { Backoff, Retry } from "./reconnect.js";
export type { Report, ReportKind } from "./report.js";
export {
  type CallOptions,
  connect,
  type Session,
  type Status,
  type WaitOptions,
} from "./session.js";
export {
  type InputOf,
  type OutputOf,
  type SchemaIssue,
  type SchemaResult,
  type StandardSchema,
  unchecked,
} from "./standard-schema.js";
export type { WebSocketConstructor, WebSocketLike } from "./web-socket.js";
