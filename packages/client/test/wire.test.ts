// Sessions of the original implementation, replayed: what its client sent we send, and what its server answered we
// understand. And frames that the original has not, as the Rust tests know them too.

import { type Format, json, ServerError } from "@wirelark/client";
import { describe, expect, test } from "vitest";
import { Core } from "../src/core.js";
import { type Contract, unchecked } from "../src/index.js";
import { msgpack } from "../src/msgpack.js";
import { captured, type Frame } from "./captured.js";
import { frames, refused } from "./vectors.js";

/** The contract the captured frames are of. */
const rpc: Contract = {
  name: "Rpc",
  calls: {
    echo: { output: unchecked() },
    add: { output: unchecked() },
    fail: { output: unchecked() },
    crash: { output: unchecked() },
    list: { output: unchecked() },
    slow: { output: unchecked() },
    emit: {},
  },
  sends: { nudge: {} },
  pushes: { itemsChanged: {}, tick: {} },
};

const LIMITS = { calls: 1000, outboxMessages: 1, outboxBytes: 10_000 };

/** Plays a session: each request is made again, under the same number, when it is its turn. */
function replay(wire: "json" | "msgpack", format: Format) {
  const reports: string[] = [];
  const core = new Core(rpc, format, LIMITS, (kind, error, name) => {
    reports.push(`${kind} ${name}: ${(error as Error).message}`);
  });
  const settled = new Map<string, unknown>();
  const wrote: { ours: Frame; theirs: Frame; same: boolean }[] = [];
  const pushed: unknown[] = [];
  for (const name of ["itemsChanged", "tick"]) core.pushes.add(name, (body) => pushed.push({ name, body }));
  let number = 0;
  const events: Frame[] = [];
  const answers: Frame[] = [];
  for (const { fromClient, data } of captured(wire)) {
    if (!fromClient) {
      const frame = format.decode(data) as Frame;
      (frame.socka === "serverEvent" ? events : answers).push(frame);
      core.receive(data);
      continue;
    }
    let theirs: Frame;
    try {
      theirs = format.decode(data) as Frame;
    } catch {
      continue; // The capture has a few that test a server.
    }
    if (theirs?.socka !== "clientRequest" || theirs.v !== 1 || !/-\d+$/.test(theirs.id)) continue;
    // The original counted requests the capture does not have, too.
    for (number += 1; `${theirs.rpc}-${number}` !== theirs.id; number += 1) {
      core.send("nudge", {}, 0);
      core.next();
      if (number > 1000) throw new Error(`${theirs.id} does not follow`);
    }
    const { id } = theirs;
    if (theirs.rpc === "nudge") core.send("nudge", theirs.body, 0);
    else {
      core.call(theirs.rpc, theirs.body, 0, {
        resolve: (answer) => settled.set(id, answer),
        reject: (error) => settled.set(id, error),
      });
    }
    const ours = core.next();
    wrote.push({ ours: format.decode(ours) as Frame, theirs, same: ours === data });
  }
  return { settled, wrote, pushed, events, answers, reports };
}

function check(wire: "json" | "msgpack", format: Format) {
  const { settled, wrote, pushed, events, answers, reports } = replay(wire, format);
  expect(wrote.length).toBeGreaterThan(80);
  for (const { ours, theirs } of wrote) expect(ours).toEqual(theirs);
  expect(events.length).toBeGreaterThan(20);
  expect(pushed).toEqual(events.map(({ event, body }) => ({ name: event, body })));
  for (const answer of answers) {
    if (answer.rpc === "nudge") continue;
    const outcome = settled.get(answer.id);
    if (answer.socka === "serverError") {
      expect(outcome, answer.id).toBeInstanceOf(ServerError);
      const { error: message, code, data } = answer as unknown as Record<string, unknown>;
      expect(outcome).toMatchObject({ message, code, data, requestId: answer.id });
    } else {
      expect(settled.has(answer.id), answer.id).toBe(true);
      expect(outcome).toEqual(answer.body);
    }
  }
  expect(answers.length - answers.filter(({ rpc }) => rpc === "nudge").length).toBe(settled.size);
  expect(reports).toEqual(["sendFailed nudge: bad nudge"]);
  return wrote;
}

test("JSON is written byte for byte as the original does", () => {
  const wrote = check("json", json());
  expect(wrote.filter(({ same }) => !same)).toEqual([]);
});

test("MessagePack says the same as the original's", () => {
  check("msgpack", msgpack);
});

describe("frames of ours", () => {
  const ours: Contract = {
    name: "Ours",
    calls: { call: { output: unchecked() } },
    sends: { sent: {} },
    pushes: { push: {} },
  };

  /** A core for which the call with this number, if it is one, is sent and not answered. */
  function waiting(format: Format, number = 0) {
    const heard: unknown[] = [];
    const tell = (kind: string) => (value: unknown) => void heard.push({ [kind]: value });
    const core = new Core(ours, format, LIMITS, (kind, error, name) => tell(`${kind} ${name}`)(error));
    core.pushes.add("push", tell("pushed"));
    core.gaps.add("", tell("gap"));
    for (let n = 1; n <= number; n += 1) {
      if (n === 9) core.send("sent", {}, 0);
      else core.call("call", {}, 0, { resolve: tell(`answer ${n}`), reject: tell(`error ${n}`) });
      core.next();
    }
    return { core, heard };
  }

  test.each(frames("client"))("are written as they should be: $name", ({ text, bytes }) => {
    const frame = JSON.parse(text) as Frame;
    expect(msgpack.decode(bytes)).toEqual(frame);
    expect(msgpack.decode(msgpack.encode(frame))).toEqual(frame);
    expect(json().encode(frame)).toBe(text);
    // Written by a core they have its own numbers.
    const { core } = waiting(json());
    core.call(frame.rpc, frame.body, 0, { resolve: () => {}, reject: () => {} });
    expect(core.next()).toBe(text.replace(frame.id, "call-1"));
  });

  test.each(frames("server"))("are understood in both formats: $name", ({ text, bytes }) => {
    const { socka, event, body, ...frame } = JSON.parse(text) as Frame & Readonly<Record<string, unknown>>;
    const number = Number(/^\w+-(\d+)$/.exec(frame.id)?.[1] ?? 0);
    const outcomes = [[json(), text] as const, [msgpack, bytes] as const].map(([format, data]) => {
      const { core, heard } = waiting(format, number);
      core.receive(data);
      return heard;
    });
    expect(outcomes[0]).toEqual(outcomes[1]);
    const [heard] = outcomes;
    if (socka === "serverEvent") {
      expect(heard).toEqual([event === "$gap" ? { gap: body } : { pushed: body }]);
    } else if (number === 0) {
      expect(heard).toEqual([]); // It is another tab's.
    } else if (socka === "serverResponse") {
      expect(heard).toEqual([{ [`answer ${number}`]: body }]);
    } else {
      const [[kind, error] = []] = Object.entries(heard?.[0] ?? {});
      expect(kind).toBe(number === 9 ? "sendFailed sent" : `error ${number}`);
      const { error: message, code, data, rpc: call } = frame;
      expect(error).toMatchObject({ message, code, data, call, requestId: frame.id });
    }
  });

  test.each(refused)("are refused: $name", ({ data, isText, why }) => {
    const { core, heard } = waiting(isText ? json() : msgpack);
    core.receive(data);
    const [error] = heard.map((report) => (report as Record<string, Error>)["malformed undefined"]);
    expect(heard).toHaveLength(1);
    // What is wrong with bytes that are no MessagePack is said by the library that reads them.
    if (why === "socka: invalid MessagePack") expect(error).toBeInstanceOf(Error);
    else expect(error?.message).toBe(why);
  });
});
