import type { ActorErrorCode } from "./errors.ts";

/** Why a message reached no handler. */
export type DeadLetterReason = ActorErrorCode | "Expired" | "Late" | "Duplicate" | "Malformed";

/** A message that reached no handler. */
export interface DeadLetter {
  readonly to: string;
  readonly method: string;
  readonly reason: DeadLetterReason;
  readonly message?: unknown;
}

/** The messages of a system that reached no handler: counted, and shown to who subscribes. */
export class DeadLetters {
  readonly #subscribers = new Set<(letter: DeadLetter) => void>();
  readonly #counts = new Map<DeadLetterReason, number>();

  /** All of them so far. */
  get count(): number {
    return this.#counts.values().reduce((sum, count) => sum + count, 0);
  }

  /** How many for one reason. */
  countOf(reason: DeadLetterReason): number {
    return this.#counts.get(reason) ?? 0;
  }

  /** Calls back with each new one. The answer unsubscribes. */
  subscribe(callback: (letter: DeadLetter) => void): () => void {
    this.#subscribers.add(callback);
    return () => this.#subscribers.delete(callback);
  }

  /** Adds one. The runtime calls it. */
  add(letter: DeadLetter): void {
    this.#counts.set(letter.reason, this.countOf(letter.reason) + 1);
    for (const subscriber of this.#subscribers) subscriber(letter);
  }
}
