import type { PendingAsk } from "./ask.ts";
import { ActorError, errorFromWire } from "./errors.ts";
import type { StreamSink } from "./letter.ts";
import type { TerminationReason } from "./ref.ts";
import { type AnswerEnvelope, endpointOf, type ItemEnvelope } from "./transport/mod.ts";

/** One that waits here for something from the actor at the address `from`. */
export type Waiting =
  | { readonly type: "ask"; readonly from: string; readonly sink: PendingAsk }
  | { readonly type: "stream"; readonly from: string; readonly sink: StreamSink; received: number }
  | {
    readonly type: "watch";
    readonly from: string;
    readonly callback: (reason: TerminationReason) => void;
  };

type WaitingStream = Extract<Waiting, { readonly type: "stream" }>;

/** What became of an answer. */
export type Outcome = "taken" | "unexpected" | "denied" | "broken";

/** The asks, streams and watches that wait for other lanes, by number. */
export class WaitingTable {
  readonly #entries = new Map<number, Waiting>();
  #nextId: number;

  constructor(firstId: number) {
    this.#nextId = firstId;
  }

  add(waiting: Waiting): number {
    const id = this.#nextId++;
    this.#entries.set(id, waiting);
    return id;
  }

  /** Forgets one, and answers whether it was there. */
  remove(id: number): boolean {
    return this.#entries.delete(id);
  }

  /**
   * Hands an answer to who waits for it: `denied` unless it comes from where it is expected from,
   * `broken` if that was a stream which it cannot continue.
   */
  answer(envelope: AnswerEnvelope, now: number): Outcome {
    const waiting = this.#entries.get(envelope.id);
    if (!waiting) return "unexpected";
    if (envelope.from !== endpointOf(waiting.from)) return "denied";
    if (envelope.type === "item" && waiting.type === "stream") return this.#item(envelope, waiting);
    this.#entries.delete(envelope.id);
    if (waiting.type === "watch") this.#lost(waiting.callback, envelope);
    else if (envelope.type === "fail") waiting.sink.reject(errorFromWire(envelope.error));
    else if (envelope.type === "reply" && waiting.type === "ask") {
      if (now > waiting.sink.deadline) waiting.sink.expire();
      else waiting.sink.resolve(envelope.message);
    } else if (envelope.type === "end" && waiting.type === "stream") {
      if (envelope.count === waiting.received) waiting.sink.end();
      else waiting.sink.reject(gap(waiting.received));
    } else waiting.sink.reject(new ActorError("AppError", `Wrong answer: ${envelope.type}`));
    return "taken";
  }

  /** Fails all that waits for actors whose addresses match. */
  fail(matches: (address: string) => boolean, error: ActorError): void {
    for (const [id, waiting] of [...this.#entries]) {
      if (!matches(waiting.from)) continue;
      this.#entries.delete(id);
      if (waiting.type === "watch") waiting.callback({ type: "Lost", message: error.message });
      else waiting.sink.reject(error);
    }
  }

  /** A stream is whole or it fails: an item out of its place ends it. */
  #item({ id, index, message }: ItemEnvelope, waiting: WaitingStream): Outcome {
    if (index < waiting.received) return "taken";
    if (index === waiting.received) {
      waiting.received++;
      waiting.sink.item(message, index);
      return "taken";
    }
    this.#entries.delete(id);
    waiting.sink.reject(gap(waiting.received));
    return "broken";
  }

  #lost(callback: (reason: TerminationReason) => void, envelope: AnswerEnvelope): void {
    if (envelope.type === "down") callback(checkReason(envelope.reason));
    else callback({ type: "Lost", message: `Wrong answer: ${envelope.type}` });
  }
}

function gap(index: number): ActorError {
  return new ActorError("Terminated", `Stream lost an item on its way: ${index}`);
}

function checkReason({ type, message }: { type: unknown; message?: unknown }): TerminationReason {
  if (type === "Stopped") return { type };
  const text = String(message).slice(0, 4096);
  return type === "Failed" ? { type, message: text } : { type: "Lost", message: text };
}
