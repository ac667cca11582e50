// The close codes and what a client should do about each: the table of the book's chapter on close codes, which a
// test holds equal to this one.

/** What a client should do after a close. */
export type CloseAction =
  /** Connect again: the same may succeed. */
  | "reconnect"
  /** Obtain new credentials, then connect again. */
  | "signIn"
  /** Stay away: the same will fail until somebody changes something. */
  | "stop"
  /** Nothing went wrong, or only the application can tell. */
  | "none";

/** The close codes with a meaning of their own, by name. */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocol: 1002,
  unsupported: 1003,
  noStatus: 1005,
  abnormal: 1006,
  invalidPayload: 1007,
  policy: 1008,
  tooBig: 1009,
  extension: 1010,
  internal: 1011,
  restart: 1012,
  tryAgain: 1013,
  badGateway: 1014,
  tls: 1015,
  badRequest: 4400,
  signIn: 4401,
  forbidden: 4403,
  notFound: 4404,
  timeout: 4408,
  replaced: 4409,
  otherVersion: 4426,
  rateLimited: 4429,
  failed: 4500,
  noAnswer: 4504,
} as const;

// What the client itself looks at, apart from the table: a page that does not use the names should not load them.
export const NORMAL = 1000;
export const PROTOCOL = 1002;
export const ABNORMAL = 1006;
export const OTHER_VERSION = 4426;
const SIGN_IN = 4401;

const STOP: readonly number[] = [1002, 1003, 1007, 1008, 1009, 1010, 1015, 4400, 4403, 4404, 4409, 4426];
const RECONNECT: readonly number[] = [1001, 1006, 1011, 1012, 1013, 1014, 4408, 4429, 4500, 4504];

/** What a client should do after a close with this code; nothing is said of codes the table does not have. */
export function closeAction(code: number): CloseAction {
  if (code === SIGN_IN) return "signIn";
  if (STOP.includes(code)) return "stop";
  return RECONNECT.includes(code) ? "reconnect" : "none";
}
