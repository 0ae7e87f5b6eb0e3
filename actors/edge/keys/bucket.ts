const minuteMs = 60_000;

/** What may be taken in a minute, refilled evenly. It may be overdrawn, and then refills from below. */
export class Bucket {
  readonly capacity: number;
  #level: number;
  #at: number;

  /** Full at `now`, in milliseconds. */
  constructor(capacity: number, now: number) {
    this.capacity = capacity;
    this.#level = capacity;
    this.#at = now;
  }

  /** What is left, below 0 when it is overdrawn. */
  left(now: number): number {
    const refilled = Math.max(0, now - this.#at) * this.capacity / minuteMs;
    this.#level = Math.min(this.capacity, this.#level + refilled);
    this.#at = Math.max(this.#at, now);
    return this.#level;
  }

  /** Takes, whatever is left. */
  take(amount: number, now: number): void {
    this.left(now);
    this.#level -= amount;
  }

  /** Milliseconds until at least `amount` is left. */
  wait(amount: number, now: number): number {
    return Math.max(0, (amount - this.left(now)) * minuteMs / this.capacity);
  }
}
