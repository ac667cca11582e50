// The core by itself: frames in, frames and settled calls out.

import {
  ClosedError,
  DecodeError,
  DisconnectedError,
  EncodeError,
  FullError,
  json,
  ServerError,
} from "@wirelark/client";
import { describe, expect, test } from "vitest";
import { closedBy, lost } from "../src/closed.js";
import { Core, type Limits } from "../src/core.js";
import { chat } from "./chat.js";

const LIMITS: Limits = { calls: 3, outboxMessages: 4, outboxBytes: 400 };

function fixture(contract: ConstructorParameters<typeof Core>[0] = chat, limits: Partial<Limits> = {}) {
  const reports: string[] = [];
  const core = new Core(contract, json(), { ...LIMITS, ...limits }, (kind, error, name) => {
    reports.push(`${kind} ${name}: ${(error as Error).message}`);
  });
  const outcomes: Record<string, unknown> = {};
  return {
    core,
    reports,
    outcomes,
    call(name: string, input?: unknown, buffered = 0) {
      const id = core.call(name, input, buffered, {
        resolve: (answer) => {
          outcomes[id] = { answer };
        },
        reject: (error) => {
          outcomes[id] = error;
        },
      });
      return id;
    },
    /** Everything that waits to be sent. */
    sent() {
      const frames = [];
      for (let data = core.next(); data !== undefined; data = core.next()) frames.push(data);
      return frames;
    },
    receive: (frame: unknown) => core.receive(JSON.stringify(frame)),
  };
}

const response = (id: string, rpc: string, body?: unknown) => ({
  socka: "serverResponse",
  v: 1,
  id,
  rpc,
  body,
});
const refusal = (id: string, error: string, more = {}) => ({
  socka: "serverError",
  v: 1,
  id,
  error,
  ...more,
});
const event = (name: string, body?: unknown) => ({ socka: "serverEvent", v: 1, event: name, body });

describe("requests", () => {
  test("leave in order, with keys in order, and are numbered together", () => {
    const { core, call, sent } = fixture();
    call("say", { text: "hi" });
    core.send("typing", undefined, 0);
    call("count", null);
    expect(sent()).toEqual([
      '{"socka":"clientRequest","v":1,"id":"say-1","rpc":"say","body":{"text":"hi"}}',
      '{"socka":"clientRequest","v":1,"id":"typing-2","rpc":"typing","body":{}}',
      '{"socka":"clientRequest","v":1,"id":"count-3","rpc":"count","body":{}}',
    ]);
  });

  test("that cannot be written leave nothing behind", () => {
    const { core, call, sent } = fixture();
    const circle: { self?: unknown } = {};
    circle.self = circle;
    for (const input of [[], 1, "text", false, { n: 1n }, circle]) {
      expect(() => call("say", input), String(input)).toThrow(EncodeError);
    }
    expect(() => core.send("move", 1, 0)).toThrow("the input of move must be an object");
    for (let n = 0; n < LIMITS.calls; n += 1) call("say", {});
    expect(sent().map((frame) => JSON.parse(String(frame)).id)).toEqual(["say-1", "say-2", "say-3"]);
  });

  test("have bounds in calls, messages and bytes, of which what the socket holds is a part", () => {
    const calls = fixture();
    for (let n = 0; n < LIMITS.calls; n += 1) calls.call("count");
    expect(() => calls.call("count")).toThrow(FullError);
    calls.core.send("typing", undefined, 0);
    expect(() => calls.core.send("typing", undefined, 0), "messages").toThrow(FullError);
    calls.sent();
    expect(() => calls.call("count"), "calls that were sent count").toThrow(FullError);
    calls.core.send("typing", undefined, 0);

    const bytes = fixture(chat, { calls: 100, outboxMessages: 100 });
    const size = JSON.stringify({
      socka: "clientRequest",
      v: 1,
      id: "say-1",
      rpc: "say",
      body: { text: "" },
    }).length;
    expect(() => bytes.call("say", { text: "x".repeat(401 - size) })).toThrow(FullError);
    expect(() => bytes.call("say", { text: "x".repeat(400 - size) }, 1)).toThrow(FullError);
    bytes.call("say", { text: "x".repeat(400 - size) });
    expect(() => bytes.call("count")).toThrow(FullError);
    bytes.sent();
    bytes.call("count");
  });

  test("that nobody waits for any more never leave, and make room", () => {
    const { core, call, sent, outcomes, receive } = fixture();
    const [first, second, third] = [call("count"), call("count"), call("count")];
    core.next();
    expect([core.forget(first), core.forget(second)]).toEqual([true, false]);
    expect(sent().map((frame) => JSON.parse(String(frame)).id)).toEqual([third]);
    receive(response(first, "count", "late"));
    expect(outcomes).toEqual({});
    call("count");
    call("count");

    const bytes = fixture();
    const text = "x".repeat(LIMITS.outboxBytes - 100);
    bytes.core.forget(bytes.call("say", { text }));
    bytes.call("say", { text });
    expect(() => bytes.call("say", { text })).toThrow(FullError);
  });
});

describe("answers", () => {
  test("settle the call they belong to, in whatever order, with what the validator made of them", () => {
    const { call, sent, receive, outcomes, reports } = fixture();
    const [say, count] = [call("say", { text: "a" }), call("count")];
    sent();
    receive(response(count, "count", "four"));
    receive(response(say, "say", { text: "a" }));
    expect(outcomes).toEqual({ [count]: { answer: 4 }, [say]: { answer: { text: "a" } } });
    receive(response(say, "say", { text: "again" }));
    expect(outcomes[say]).toEqual({ answer: { text: "a" } });
    expect(reports).toEqual([]);
  });

  test("without an output are not looked at", () => {
    const { call, sent, receive, outcomes } = fixture();
    const [one, two] = [call("quiet"), call("quiet")];
    sent();
    receive(response(one, "quiet"));
    receive(response(two, "quiet", { more: "than was promised" }));
    expect(outcomes).toEqual({ [one]: { answer: undefined }, [two]: { answer: undefined } });
  });

  test("of another shape, or of another call, are errors of the call", () => {
    const { call, sent, receive, outcomes } = fixture();
    const [say, count, other] = [call("say", { text: "a" }), call("count"), call("count")];
    sent();
    receive(response(say, "say", { text: 1 }));
    receive(response(count, "count"));
    receive(response(other, "say", { text: "a" }));
    expect(outcomes[say]).toMatchObject({
      message: "text must be a string",
      issues: [{ message: "text must be a string" }],
    });
    expect(outcomes[count]).toMatchObject({ message: "not text; at all" });
    expect(outcomes[other]).toMatchObject({
      message: "the answer to count-3 says that it is of the call say",
    });
    for (const id of [say, count, other]) expect(outcomes[id]).toBeInstanceOf(DecodeError);
  });

  test("to a call that was not sent are not its answers", () => {
    const { call, receive, outcomes } = fixture();
    receive(response(call("count"), "count", "early"));
    expect(outcomes).toEqual({});
  });

  test("that say the call failed carry what the server said", () => {
    const { call, sent, receive, outcomes } = fixture();
    const [say, count] = [call("say", {}), call("count")];
    sent();
    receive(refusal(say, "nope", { rpc: "say", code: "FORBIDDEN", data: { why: "test" } }));
    receive(refusal(count, "", { rpc: 7, code: null }));
    expect(outcomes[say]).toBeInstanceOf(ServerError);
    expect(outcomes[say]).toMatchObject({
      message: "nope",
      code: "FORBIDDEN",
      data: { why: "test" },
      call: "say",
      requestId: say,
    });
    expect(outcomes[count]).toMatchObject({ message: "", code: undefined, call: undefined, data: undefined });
  });

  test("of a validator that throws, waits or answers nothing at all fail the call and nothing else", () => {
    const broken = (validate: () => unknown) => ({
      output: {
        "~standard": { version: 1 as const, vendor: "test", validate: validate as () => { value: unknown } },
      },
    });
    const calls = {
      throws: broken(() => {
        throw new Error("boom");
      }),
      waits: broken(() => Promise.resolve({ value: 1 })),
      nothing: broken(() => undefined),
    };
    const { call, sent, receive, outcomes } = fixture({ name: "Broken", calls });
    for (const name of Object.keys(calls)) {
      const id = call(name);
      sent();
      receive(response(id, name, 1));
      expect(outcomes[id], name).toBeInstanceOf(DecodeError);
    }
    expect(outcomes["throws-1"]).toMatchObject({
      message: "the validator failed: boom",
      cause: { message: "boom" },
    });
    expect(outcomes["waits-2"]).toMatchObject({ message: expect.stringContaining("promise") });
  });
});

describe("what nobody waits for", () => {
  test("is reported where it matters, and dropped where it is late", () => {
    const { core, call, sent, receive, reports } = fixture();
    core.send("typing", {}, 0);
    const late = call("count");
    sent();
    core.forget(late);
    receive(refusal("typing-1", "bad typing", { rpc: "typing" }));
    receive(response("typing-1", "typing"));
    receive(response(late, "count", "late"));
    receive(refusal(late, "late"));
    receive(response("count-99", "count", "of a stranger"));
    receive(refusal("count-99", "of a stranger", { rpc: "count" }));
    receive(refusal("", "of nobody"));
    expect(reports).toEqual([
      "sendFailed typing: bad typing",
      "unexpectedResponse typing: typing-1 was answered",
      "orphanError count: of a stranger",
      "orphanError undefined: of nobody",
    ]);
  });

  test("names every object has are names like others", () => {
    const { core, receive, reports } = fixture();
    const heard: unknown[] = [];
    for (const name of ["toString", "constructor", "__proto__", "hasOwnProperty"]) {
      core.pushes.add(name, (body) => heard.push(body));
      receive(event(name, name));
      receive(refusal(`${name}-1`, "no"));
      receive(response(`${name}-1`, name));
    }
    expect(heard).toEqual(["toString", "constructor", "__proto__", "hasOwnProperty"]);
    expect(reports).toHaveLength(4);
    expect(reports.every((report) => report.startsWith("orphanError"))).toBe(true);
  });

  test("is no frame: reported in the words of the wire", () => {
    const { core, receive, reports } = fixture();
    const frames: [unknown, string][] = [
      [null, "socka: expected a JSON object"],
      [[], "socka: expected a JSON object"],
      ["text", "socka: expected a JSON object"],
      [{}, 'socka: missing "socka" discriminator'],
      [{ socka: "serverEvent", event: "tick" }, "socka: unsupported wire version"],
      [{ socka: "serverEvent", v: "1", event: "tick" }, "socka: unsupported wire version"],
      [{ socka: "serverEvent", v: 1, event: 7 }, "socka: unknown or invalid frame kind serverEvent"],
      [{ socka: "serverResponse", v: 1, id: "a" }, "socka: unknown or invalid frame kind serverResponse"],
      [
        { socka: "serverError", v: 1, id: "a", error: null },
        "socka: unknown or invalid frame kind serverError",
      ],
      [{ socka: { a: 1 }, v: 1 }, "socka: unknown or invalid frame kind [object Object]"],
      [
        { socka: "clientRequest", v: 1, id: "a", rpc: "b", body: {} },
        "socka: unexpected client-originated frame from server",
      ],
    ];
    for (const [frame, text] of frames) {
      receive(frame);
      expect(reports.splice(0)).toEqual([`malformed undefined: ${text}`]);
    }
    core.receive("{");
    core.receive(new ArrayBuffer(2));
    expect(reports).toEqual([
      "malformed undefined: socka: invalid JSON",
      "malformed undefined: socka: expected JSON text frame",
    ]);
  });
});

describe("pushes", () => {
  test("reach every listener of their name, in order, whatever another one does", async () => {
    const { core, receive, reports } = fixture();
    const heard: string[] = [];
    core.pushes.add("said", () => {
      throw new Error("boom");
    });
    core.pushes.add("said", () => Promise.reject(new Error("later")));
    const unsubscribe = core.pushes.add("said", (body) => {
      heard.push(`first ${(body as { text: string }).text}`);
      unsubscribe();
      dropped();
    });
    const dropped = core.pushes.add("said", () => heard.push("taken away by the one before"));
    core.pushes.add("said", () => heard.push("last"));
    core.pushes.add("tick", () => heard.push("another name"));
    receive(event("said", { text: "a" }));
    receive(event("said", { text: "b" }));
    expect(heard).toEqual(["first a", "last", "last"]);
    await Promise.resolve();
    expect(reports.sort()).toEqual([
      "listener said: boom",
      "listener said: boom",
      "listener said: later",
      "listener said: later",
    ]);
  });

  test("of another shape are reported and heard by nobody", () => {
    const { core, receive, reports } = fixture();
    const heard: unknown[] = [];
    core.pushes.add("said", (body) => heard.push(body));
    receive(event("said", { text: 1 }));
    receive(event("said"));
    receive(event("said", { text: "fine" }));
    expect(heard).toEqual([{ text: "fine" }]);
    expect(reports).toEqual([
      "invalidPush said: text must be a string",
      "invalidPush said: text must be a string",
    ]);
  });

  test("that nobody listens to, or that the contract does not know, are no matter", () => {
    const { receive, reports } = fixture();
    receive(event("said", { text: 1 }));
    receive(event("unheard of"));
    expect(reports).toEqual([]);
  });

  test("that were missed are told of", () => {
    const { core, receive, reports } = fixture();
    const gaps: unknown[] = [];
    core.gaps.add("", (gap) => gaps.push(gap));
    receive(event("$gap", { push: "tick", missed: 3 }));
    for (const body of [undefined, null, 7, {}, { push: "tick" }, { push: 1, missed: 1 }])
      receive(event("$gap", body));
    expect(gaps).toEqual([{ push: "tick", missed: 3 }]);
    expect(reports).toHaveLength(6);
  });
});

describe("the end of a connection", () => {
  test("fails what was sent and keeps what was not", () => {
    const { core, call, sent, outcomes, reports } = fixture();
    const first = call("count");
    sent();
    const second = call("count");
    core.send("typing", {}, 0);
    core.lose(lost("gone"));
    expect(outcomes[first]).toBeInstanceOf(DisconnectedError);
    expect(outcomes[first]).toMatchObject({
      sent: true,
      closed: { code: 1006 },
      message: "the connection ended by the network with 1006, gone",
    });
    expect(outcomes[second]).toBeUndefined();
    expect(sent()).toHaveLength(2);
    expect(reports).toEqual([]);
  });

  test("for good settles everything, and reports the sends that never left", () => {
    const { core, call, sent, outcomes, reports } = fixture();
    const first = call("count");
    sent();
    const second = call("say", { text: "x".repeat(LIMITS.outboxBytes - 200) });
    core.send("typing", {}, 0);
    core.abandon(() => new ClosedError(closedBy("client", 1000, "")));
    expect([outcomes[first], outcomes[second]].every((outcome) => outcome instanceof ClosedError)).toBe(true);
    expect(reports).toEqual(["sendLost typing: the client was closed by this client with 1000"]);
    expect(sent()).toEqual([]);
    for (let n = 0; n < LIMITS.calls; n += 1) call("count");
  });

  test("says of a send that was lost that it never left", () => {
    const errors: unknown[] = [];
    const core = new Core(chat, json(), LIMITS, (_, error) => errors.push(error));
    core.send("typing", {}, 0);
    const closed = lost("gone");
    core.abandon((sent) => new DisconnectedError(closed, sent));
    expect(errors).toMatchObject([{ sent: false }]);
  });
});
