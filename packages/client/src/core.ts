// What a session knows apart from its socket: what waits to be sent, who waits for an answer, and who listens.
//
// It has no socket and no clock, and asks nothing of either. Requests go in by `call` and `send` and come out of
// `next` as frames; what arrives goes into `receive`, and comes out as settled calls, told listeners and reports.
// Whoever holds it says how a connection ended, by `lose` and `abandon`, and what a caller no longer waits for, by
// `forget`.

import type { Closed } from "./closed.js";
import { type Contract, definition } from "./contract.js";
import { type Envelope, envelope, request } from "./envelope.js";
import {
  DecodeError,
  disconnected,
  EncodeError,
  FullError,
  ServerError,
  textOf,
  type WirelarkError,
} from "./errors.js";
import type { Data, Format } from "./format.js";
import { Listeners } from "./listeners.js";
import type { Reports } from "./report.js";
import { validate } from "./validate.js";

/** How much may wait. */
export interface Limits {
  /** Calls that wait for their answers, sent or not. */
  readonly calls: number;
  /** Calls and sends that wait to be sent. */
  readonly outboxMessages: number;
  /** Their bytes, or characters of text. */
  readonly outboxBytes: number;
}

/** Who hears how a call ended. */
export interface Caller {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: WirelarkError) => void;
}

/**
 * So many pushes of this name did not come: dropped, or replaced by newer ones, because this client read too slowly, or larger than
 * the server's messages to it may be.
 */
export interface Gap {
  readonly push: string;
  readonly missed: number;
}

interface Pending extends Caller {
  readonly name: string;
  sent: boolean;
}

interface Queued {
  readonly id: string;
  readonly name: string;
  readonly data: Data;
}

/** The name of the event that tells of a gap. No contract can have one like it. */
const GAP = "$gap";

export class Core {
  readonly pushes: Listeners<unknown>;
  readonly gaps: Listeners<Gap>;

  readonly #contract: Contract;
  readonly #format: Format;
  readonly #limits: Limits;
  readonly #report: Reports;

  #queue: Queued[] = [];
  #queued = 0;
  readonly #pending = new Map<string, Pending>();
  /** The number of the newest request. */
  #last = 0;

  constructor(contract: Contract, format: Format, limits: Limits, report: Reports) {
    this.#contract = contract;
    this.#format = format;
    this.#limits = limits;
    this.#report = report;
    this.pushes = new Listeners((error, name) => report("listener", error, name));
    this.gaps = new Listeners((error) => report("listener", error, GAP));
  }

  /**
   * Queues a call and returns its id. `buffered` is how much the socket has not sent yet of what it was given.
   * Throws an `EncodeError` or a `FullError`, and then nothing was queued.
   */
  call(name: string, input: unknown, buffered: number, caller: Caller): string {
    if (this.#pending.size >= this.#limits.calls) throw new FullError();
    const id = this.#enqueue(name, input, buffered);
    this.#pending.set(id, { ...caller, name, sent: false });
    return id;
  }

  /** Queues a send, in the same way. */
  send(name: string, input: unknown, buffered: number): void {
    this.#enqueue(name, input, buffered);
  }

  #enqueue(name: string, input: unknown, buffered: number): string {
    const id = `${name}-${this.#last + 1}`;
    const data = this.#encode(id, name, input ?? {});
    const { outboxMessages, outboxBytes } = this.#limits;
    if (this.#queue.length >= outboxMessages || this.#queued + buffered + data.length > outboxBytes) {
      throw new FullError();
    }
    this.#last += 1;
    this.#queue.push({ id, name, data });
    this.#queued += data.length;
    return id;
  }

  #encode(id: string, name: string, input: unknown): Data {
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      throw new EncodeError(`the input of ${name} must be an object: its fields are the arguments`);
    }
    try {
      return this.#format.encode(request(id, name, input));
    } catch (cause) {
      throw new EncodeError(`the input of ${name} cannot be sent: ${textOf(cause)}`, { cause });
    }
  }

  /** The next frame to send. Its request counts as sent from now on. */
  next(): Data | undefined {
    const queued = this.#queue.shift();
    if (queued === undefined) return undefined;
    this.#queued -= queued.data.length;
    const pending = this.#pending.get(queued.id);
    if (pending !== undefined) pending.sent = true;
    return queued.data;
  }

  /** Nobody waits for this call any more. Returns whether the server may have got it; if not, it never will. */
  forget(id: string): boolean {
    const sent = this.#pending.get(id)?.sent ?? true;
    this.#pending.delete(id);
    const at = this.#queue.findIndex((queued) => queued.id === id);
    for (const queued of at < 0 ? [] : this.#queue.splice(at, 1)) this.#queued -= queued.data.length;
    return sent;
  }

  /** The connection is lost: nobody will answer what was sent over it. */
  lose(closed: Closed): void {
    this.#reject(
      (pending) => pending.sent,
      (sent) => disconnected(this.#contract.name, closed, sent),
    );
  }

  /** There will be no connection: calls fail with what `error` makes, sends are lost and reported. */
  abandon(error: (sent: boolean) => WirelarkError): void {
    const lost = this.#queue.filter(({ id }) => !this.#pending.has(id));
    this.#queue = [];
    this.#queued = 0;
    this.#reject(() => true, error);
    for (const { name } of lost) this.#report("sendLost", error(false), name);
  }

  #reject(is: (pending: Pending) => boolean, error: (sent: boolean) => WirelarkError): void {
    for (const [id, pending] of this.#pending) {
      if (!is(pending)) continue;
      this.#pending.delete(id);
      pending.reject(error(pending.sent));
    }
  }

  /** Takes in one message, a string or an `ArrayBuffer`. */
  receive(data: unknown): void {
    let frame: Envelope;
    try {
      frame = envelope(this.#format.decode(data));
    } catch (error) {
      return this.#report("malformed", error);
    }
    switch (frame.socka) {
      case "serverResponse":
        return this.#respond(frame);
      case "serverError":
        return this.#refuse(frame);
      case "serverEvent":
        return frame.event === GAP ? this.#gap(frame.body) : this.#push(frame.event, frame.body);
    }
  }

  #respond({ id, rpc, body }: Envelope & { socka: "serverResponse" }): void {
    const pending = this.#take(id);
    if (pending === undefined) {
      // A late answer is dropped. One to a send was never due.
      if (this.#isSend(id)) this.#report("unexpectedResponse", new DecodeError(`${id} was answered`), rpc);
      return;
    }
    try {
      if (rpc !== pending.name) {
        throw new DecodeError(`the answer to ${id} says that it is of the call ${rpc}`);
      }
      const output = definition(this.#contract.calls, rpc)?.output;
      pending.resolve(output && validate(output, body));
    } catch (error) {
      pending.reject(error as DecodeError);
    }
  }

  #refuse(refused: Envelope & { socka: "serverError" }): void {
    const error = new ServerError(refused);
    const pending = this.#take(refused.id);
    if (pending !== undefined) pending.reject(error);
    else if (this.#isSend(refused.id)) this.#report("sendFailed", error, nameIn(refused.id));
    else if (!this.#isOurs(refused.id)) this.#report("orphanError", error, refused.rpc);
  }

  #take(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    if (!pending?.sent) return undefined;
    this.#pending.delete(id);
    return pending;
  }

  #isSend(id: string): boolean {
    return this.#isOurs(id) && definition(this.#contract.sends, nameIn(id)) !== undefined;
  }

  #isOurs(id: string): boolean {
    const number = Number(id.slice(nameIn(id).length + 1));
    return number >= 1 && number <= this.#last;
  }

  #push(name: string, body: unknown): void {
    if (!this.pushes.has(name)) return;
    try {
      const schema = definition(this.#contract.pushes, name)?.body;
      body = schema === undefined ? body : validate(schema, body);
    } catch (error) {
      return this.#report("invalidPush", error, name);
    }
    this.pushes.tell(name, body);
  }

  #gap(body: unknown): void {
    const { push, missed } = (body ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof push !== "string" || typeof missed !== "number") {
      return this.#report("malformed", new DecodeError("a gap without a push's name or number"), GAP);
    }
    this.gaps.tell("", { push, missed });
  }
}

/** The name in the id of a request. */
function nameIn(id: string): string {
  return id.slice(0, Math.max(0, id.lastIndexOf("-")));
}
