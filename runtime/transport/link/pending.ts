import type { AnswerEnvelope, Envelope } from "../envelope.ts";
import { endpointOf } from "../envelope.ts";

/** What asks for an answer. */
export type RequestEnvelope = Extract<Envelope, { readonly type: "ask" | "stream" | "watch" }>;

/** Whether an envelope asks for an answer. */
export function isRequest(envelope: Envelope): envelope is RequestEnvelope {
  return envelope.type === "ask" || envelope.type === "stream" || envelope.type === "watch";
}

interface Entry {
  readonly request: RequestEnvelope;
  /** The number of the packet, or of the first of its parts. */
  readonly sequence: number;
}

/** The requests to one node that have no answer yet, and when they were sent. */
export class PendingRequests {
  readonly #entries = new Map<string, Entry>();

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Notes what was sent. */
  sent(request: RequestEnvelope, sequence: number): void {
    this.#entries.set(`${request.from}#${request.id}`, { request, sequence });
  }

  /** Notes an answer that is the last one. */
  answered({ to, id, type }: AnswerEnvelope): void {
    if (type !== "item") this.#entries.delete(`${to}#${id}`);
  }

  /** Notes that nobody waits any more. */
  cancelled(from: string, id: number): void {
    this.#entries.delete(`${from}#${id}`);
  }

  /** Forgets what was sent before a number, with the answers that tell so. */
  *lostBefore(sequence: number, why: string): Generator<AnswerEnvelope> {
    for (const [key, { request, sequence: sent }] of [...this.#entries]) {
      if (sent >= sequence) continue;
      this.#entries.delete(key);
      yield answerTo(request, why);
    }
  }
}

function answerTo({ type, to, from, id }: RequestEnvelope, why: string): AnswerEnvelope {
  const head = { to: from, from: endpointOf(to), id } as const;
  if (type === "watch") return { type: "down", ...head, reason: { type: "Lost", message: why } };
  const error = { code: "Terminated", message: why, retryable: false } as const;
  return { type: "fail", ...head, error };
}
