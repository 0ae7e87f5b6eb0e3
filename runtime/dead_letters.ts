import type { ActorErrorCode } from "./errors.ts";

/** Why a message reached no handler. */
export type DeadLetterReason =
  | ActorErrorCode
  | "Expired"
  | "Lost"
  | "Late"
  | "Duplicate"
  | "Malformed";

/** A message that reached no handler. */
export interface DeadLetter {
  /** The address it was for. */
  readonly to: string;
  /** Its method, or what kind of envelope or packet it was. */
  readonly method: string;
  /** Why it was not handled. */
  readonly reason: DeadLetterReason;
  /** The message itself, where it is at hand. */
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
