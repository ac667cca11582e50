// Tokens as the conformance server wants them.

import { createHmac } from "node:crypto";

export function sign(claims, { secret = "test-secret", header = { alg: "HS256", typ: "JWT" } } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${part(header)}.${part(claims)}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

export function inAnHour() {
  return Math.floor(Date.now() / 1000) + 3600;
}
