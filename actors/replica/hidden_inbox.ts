import type { WireFloats } from "../replica_protocol.ts";

/** Hidden states that may wait for their steps; those of steps that were given up go at last. */
const MOST_EARLY = 16;

/** Joins steps and the hidden states that belong to them, whichever comes first. */
export class HiddenInbox {
  readonly #early = new Map<string, WireFloats>();
  readonly #waiting = new Map<string, (hidden: WireFloats) => void>();

  /** Steps that wait for theirs. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Brings the hidden states of a step. */
  put(id: string, hidden: WireFloats): void {
    const take = this.#waiting.get(id);
    if (take) return take(hidden);
    this.#early.set(id, hidden);
    for (const oldest of this.#early.keys()) {
      if (this.#early.size <= MOST_EARLY) return;
      this.#early.delete(oldest);
    }
  }

  /** Awaits the hidden states of a step. Rejects with the signal's reason. */
  take(id: string, signal: AbortSignal): Promise<WireFloats> {
    const early = this.#early.get(id);
    this.#early.delete(id);
    if (early) return Promise.resolve(early);
    const { promise, resolve, reject } = Promise.withResolvers<WireFloats>();
    if (signal.aborted) reject(signal.reason);
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#waiting.set(id, resolve);
    return promise.finally(() => {
      signal.removeEventListener("abort", abort);
      this.#waiting.delete(id);
    });
  }
}
