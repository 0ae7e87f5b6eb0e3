import { type AnswerEnvelope, endpointOf, type Envelope } from "../envelope.ts";
import type { WireError } from "../../errors.ts";

/** What asks for an answer. */
export type RequestEnvelope = Extract<Envelope, { readonly type: "ask" | "stream" | "watch" }>;

/** Whom a request was sent to, and under which number of the asker's. */
export type RequestHead = Pick<RequestEnvelope, "type" | "to" | "from" | "id">;

/** Whether an envelope asks for an answer. */
export function isRequest(envelope: Envelope): envelope is RequestEnvelope {
  return envelope.type === "ask" || envelope.type === "stream" || envelope.type === "watch";
}

/** Whether an envelope is an answer. */
export function isAnswer(envelope: Envelope): envelope is AnswerEnvelope {
  return ["reply", "fail", "item", "end", "down"].includes(envelope.type);
}

/** The answer to a request that fails. */
export function failureOf({ type, to, from, id }: RequestHead, error: WireError): AnswerEnvelope {
  const head = { to: from, from: endpointOf(to), id } as const;
  if (type !== "watch") return { type: "fail", ...head, error };
  return { type: "down", ...head, reason: { type: "Lost", message: error.message } };
}

/** The requests to one node that have no answer yet, and the numbers of their packets. */
export class PendingRequests {
  readonly #entries = new Map<string, { readonly head: RequestHead; readonly sequence: number }>();

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Notes what was sent. */
  sent({ type, to, from, id }: RequestHead, sequence: number): void {
    this.#entries.set(`${from}#${id}`, { head: { type, to, from, id }, sequence });
  }

  /** Notes that nobody waits any more, and answers whether anybody did. */
  settle(asker: string, id: number): boolean {
    return this.#entries.delete(`${asker}#${id}`);
  }

  /** Forgets what was sent before a number, and answers it. */
  takeBefore(upTo: number): RequestHead[] {
    const taken: RequestHead[] = [];
    for (const [key, { head, sequence }] of [...this.#entries]) {
      if (sequence >= upTo) continue;
      this.#entries.delete(key);
      taken.push(head);
    }
    return taken;
  }
}
