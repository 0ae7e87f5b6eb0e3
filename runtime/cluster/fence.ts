import { ActorError } from "../errors.ts";

/**
 * Lets no order of an earlier epoch by: what a holder sends after it has lost its lease finds the door shut
 * as soon as its successor was heard once. (As the fencing tokens of Kleppmann, "How to do distributed
 * locking", 2016.)
 */
export class Fence {
  #epoch = 0;

  /** The newest epoch seen; 0 before any. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Notes an epoch that was heard of. */
  raise(epoch: number): void {
    this.#epoch = Math.max(this.#epoch, epoch);
  }

  /** Notes the epoch of a message. Throws `Moved` when a later one was seen. */
  admit(epoch: number): void {
    if (epoch < this.#epoch) {
      throw new ActorError("Moved", `Cannot obey epoch ${epoch} after a later one: ${this.#epoch}`);
    }
    this.#epoch = epoch;
  }
}
