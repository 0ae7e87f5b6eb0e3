import { CreditWindow, maxCredits } from "./credit.ts";
import { ActorError, errorToWire, toActorError } from "./errors.ts";
import type { ReplySink, StreamSink } from "./letter.ts";
import type { Movable } from "./ref.ts";
import type { Envelope } from "./transport/mod.ts";

/** What an answer to another lane is sent by. */
export interface Sender {
  /** This isolate: `node/lane`. */
  readonly endpoint: string;
  send(envelope: Envelope, transfer?: readonly Movable[]): void;
  sendOrBury(envelope: Envelope): void;
}

/** The answer to an ask of another lane. */
export class RemoteReply implements ReplySink {
  /** The asker has gone: it is told nothing any more. */
  abandoned = false;
  readonly #sender: Sender;
  readonly #to: string;
  readonly #id: number;
  readonly #done: () => void;

  constructor(sender: Sender, to: string, id: number, done: () => void) {
    this.#sender = sender;
    this.#to = to;
    this.#id = id;
    this.#done = done;
  }

  resolve(value: unknown, transfer?: readonly Movable[]): void {
    this.#done();
    const { endpoint: from } = this.#sender;
    const envelope = { type: "reply", to: this.#to, from, id: this.#id, message: value } as const;
    try {
      this.#sender.send(envelope, transfer);
    } catch (thrown) {
      this.reject(unsent(thrown));
    }
  }

  reject(error: ActorError): void {
    this.#done();
    if (this.abandoned) return;
    this.#sender.sendOrBury(failure(this.#sender, this.#to, this.#id, error));
  }
}

/** The stream to a reader on another lane. */
export class RemoteStream implements StreamSink {
  readonly window: CreditWindow;
  /** The asker has gone: it is told nothing any more. */
  abandoned = false;
  readonly #sender: Sender;
  readonly #to: string;
  readonly #id: number;
  readonly #done: () => void;
  #count = 0;

  constructor(sender: Sender, to: string, id: number, credits: number, done: () => void) {
    this.window = new CreditWindow(Math.min(Math.max(1, credits), maxCredits));
    this.#sender = sender;
    this.#to = to;
    this.#id = id;
    this.#done = done;
  }

  item(message: unknown, index: number, transfer?: readonly Movable[]): void {
    this.#count = index + 1;
    const { endpoint: from } = this.#sender;
    const envelope = { type: "item", to: this.#to, from, id: this.#id, index, message } as const;
    try {
      this.#sender.send(envelope, transfer);
    } catch (thrown) {
      throw unsent(thrown);
    }
  }

  end(): void {
    this.#done();
    const { endpoint: from } = this.#sender;
    this.#sender.sendOrBury({ type: "end", to: this.#to, from, id: this.#id, count: this.#count });
  }

  reject(error: ActorError): void {
    this.#done();
    if (this.abandoned) return;
    this.#sender.sendOrBury(failure(this.#sender, this.#to, this.#id, error));
  }
}

/** The error of an answer that could not be sent: what it answers was carried out all the same. */
function unsent(thrown: unknown): ActorError {
  const { code, message } = toActorError(thrown);
  return new ActorError(code, `Cannot send answer: ${message}`, {
    retryable: false,
    cause: thrown,
  });
}

function failure({ endpoint: from }: Sender, to: string, id: number, error: ActorError): Envelope {
  return { type: "fail", to, from, id, error: safe(error) };
}

/** Details that cannot be sent are left out rather than losing the error. */
function safe(error: ActorError) {
  const wire = errorToWire(error);
  try {
    structuredClone(wire.details);
    return wire;
  } catch {
    const { details: _, ...rest } = wire;
    return rest;
  }
}
