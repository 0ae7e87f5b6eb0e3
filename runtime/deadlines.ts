import type { Clock } from "./clock.ts";
import { Heap } from "./heap.ts";

/** Something that must be told when its deadline passes. */
export interface Timed {
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Set once it no longer waits; it is then forgotten in its own time. */
  readonly settled: boolean;
  expire(): void;
}

/** All deadlines of a system behind one timer. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #heap = new Heap<Timed>((a, b) => a.deadline < b.deadline);
  #settled = 0;
  #armedFor = Infinity;
  #disarm: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(timed: Timed): void {
    if (timed.deadline === Infinity) return;
    this.#heap.push(timed);
    if (timed.deadline < this.#armedFor) this.#arm(timed.deadline);
  }

  /** Counts one settled entry; entries leave the heap when half of it has settled. */
  release(): void {
    if (++this.#settled < 64 || this.#settled * 2 < this.#heap.size) return;
    this.#heap.filter((timed) => !timed.settled);
    this.#settled = 0;
  }

  close(): void {
    this.#disarm?.();
    this.#disarm = null;
    this.#armedFor = -Infinity;
  }

  #arm(deadline: number): void {
    this.#disarm?.();
    this.#armedFor = deadline;
    this.#disarm = this.#clock.setTimer(deadline - this.#clock.now(), () => this.#fire());
  }

  #fire(): void {
    this.#armedFor = Infinity;
    this.#disarm = null;
    const now = this.#clock.now();
    let next = this.#heap.peek();
    for (; next && (next.settled || next.deadline <= now); next = this.#heap.peek()) {
      this.#heap.pop();
      if (!next.settled) next.expire();
    }
    if (next && next.deadline < this.#armedFor) this.#arm(next.deadline);
  }
}
