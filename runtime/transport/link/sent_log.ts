import type { AnswerEnvelope, Envelope } from "../envelope.ts";
import type { Gap } from "./packet.ts";
import { isAnswer, isRequest, type RequestHead } from "./pending.ts";

/** Whom an answer was sent to. */
export type AnswerHead = Pick<AnswerEnvelope, "type" | "to" | "from" | "id">;

/** What is remembered of a message that was sent, without its content: enough to make good its loss. */
export type Sent =
  | { readonly kind: "request"; readonly head: RequestHead }
  | { readonly kind: "answer"; readonly head: AnswerHead }
  | { readonly kind: "tell"; readonly to: string; readonly method: string }
  /** It may be sent again: twice does no harm. */
  | { readonly kind: "repeatable"; readonly envelope: Envelope };

const maxEntries = 4096;

/** What was sent to one node and may yet turn out to be lost. */
export class SentLog {
  readonly #entries = new Map<number, Sent>();
  /** What was sent before is known to have come, or was made good. */
  #settledTo = 0;
  /** What was sent before was forgotten, for want of room. */
  #forgottenTo = 0;

  /** Notes a message by the number of a packet; the parts of a message share what is noted. */
  add(sequence: number, sent: Sent): void {
    this.#entries.set(sequence, sent);
    if (this.#entries.size <= maxEntries) return;
    const oldest = this.#entries.keys().next().value!;
    this.#entries.delete(oldest);
    this.#forgottenTo = oldest + 1;
  }

  /** Begins anew: what was sent before a number does not count any more. */
  renew(next: number): void {
    this.#entries.clear();
    this.#settledTo = next;
  }

  /** Notes how far the node has come, and answers what it missed; null if that was forgotten. */
  settle(upTo: number, gaps: readonly Gap[]): Sent[] | null {
    if (upTo <= this.#settledTo) return [];
    const open = gaps.filter(({ to }) => to > this.#settledTo);
    const isKnown = open.every(({ from }) => Math.max(from, this.#settledTo) >= this.#forgottenTo);
    const missed = new Set<Sent>();
    for (const [sequence, sent] of this.#entries) {
      if (sequence >= upTo) break;
      if (open.some(({ from, to }) => from <= sequence && sequence < to)) missed.add(sent);
      this.#entries.delete(sequence);
    }
    this.#settledTo = upTo;
    return isKnown ? [...missed] : null;
  }
}

/** What is to be remembered of a message. */
export function remember(envelope: Envelope): Sent {
  if (isRequest(envelope)) {
    const { type, to, from, id } = envelope;
    return { kind: "request", head: { type, to, from, id } };
  }
  if (isAnswer(envelope)) {
    const { type, to, from, id } = envelope;
    return { kind: "answer", head: { type, to, from, id } };
  }
  if (envelope.type === "tell") return { kind: "tell", to: envelope.to, method: envelope.method };
  return { kind: "repeatable", envelope };
}
