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

const maxEntries = 8192;

/** The packets to one node: how many there were, and those that may yet turn out to be lost. */
export class SentLog {
  /** What the packets from number `#first` on carried; null for a sign of life. */
  #entries: (Sent | null)[] = [];
  #first = 0;
  /** What was sent before is known to have come, or was made good; between this and `#first`, forgotten. */
  #settledTo = 0;

  /** The number of the next packet. */
  get next(): number {
    return this.#first + this.#entries.length;
  }

  /** Notes the next packet; the parts of a message share what is noted. */
  add(sent: Sent | null): void {
    this.#entries.push(sent);
    if (this.#entries.length > maxEntries) this.#drop(maxEntries / 2);
  }

  /** Begins anew: what was sent until now does not count any more. */
  renew(): void {
    this.#drop(this.#entries.length);
    this.#settledTo = this.#first;
  }

  /** Notes how far the node has come, and answers what it missed; null if that was forgotten. */
  settle(upTo: number, gaps: readonly Gap[]): Sent[] | null {
    const end = Math.min(upTo, this.next);
    if (end <= this.#settledTo) return [];
    const open = gaps.filter(({ to }) => to > this.#settledTo);
    const isKnown = open.every(({ from }) => Math.max(from, this.#settledTo) >= this.#first);
    const missed = new Set(open.flatMap(({ from, to }) => this.#between(from, Math.min(to, end))));
    this.#drop(end - this.#first);
    this.#settledTo = end;
    return isKnown ? [...missed] : null;
  }

  #between(from: number, to: number): Sent[] {
    const range = this.#entries.slice(
      Math.max(0, from - this.#first),
      Math.max(0, to - this.#first),
    );
    return range.filter((sent) => sent !== null);
  }

  #drop(count: number): void {
    if (count <= 0) return;
    this.#entries = this.#entries.slice(count);
    this.#first += count;
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
