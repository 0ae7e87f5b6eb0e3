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

const answers: ReadonlySet<string> = new Set(["reply", "fail", "item", "end", "down"]);

/** Whether an envelope is an answer. */
export function isAnswer(envelope: Envelope): envelope is AnswerEnvelope {
  return answers.has(envelope.type);
}

/** The answer to a request that fails. */
export function failureOf({ type, to, from, id }: RequestHead, error: WireError): AnswerEnvelope {
  const head = { to: from, from: endpointOf(to), id } as const;
  if (type !== "watch") return { type: "fail", ...head, error };
  return { type: "down", ...head, reason: { type: "Lost", message: error.message } };
}

interface Entry {
  readonly head: RequestHead;
  /** The number of its packet, or of the first of its parts. */
  readonly sequence: number;
}

/** The requests to one node that have no answer yet. */
export class PendingRequests {
  /** By the asker's number: several lanes count from starts of their own, far apart. */
  readonly #entries = new Map<number, Entry>();

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Notes what was sent. */
  sent(head: RequestHead, sequence: number): void {
    this.#entries.set(head.id, { head, sequence });
  }

  /** Notes that nobody waits any more, and answers whether anybody did. */
  settle(asker: string, id: number): boolean {
    return this.#entries.get(id)?.head.from === asker && this.#entries.delete(id);
  }

  /** Forgets all. */
  clear(): void {
    this.#entries.clear();
  }

  /** Forgets what was sent before a number, and answers it. */
  takeBefore(upTo: number): RequestHead[] {
    const taken: RequestHead[] = [];
    for (const [id, { head, sequence }] of [...this.#entries]) {
      if (sequence >= upTo) continue;
      this.#entries.delete(id);
      taken.push(head);
    }
    return taken;
  }
}
