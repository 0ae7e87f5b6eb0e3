import type { Clock } from "../../clock.ts";
import type { Rng } from "../../rng.ts";

/** Time and randomness, as they are passed in. */
export interface Surroundings {
  readonly clock: Clock;
  readonly rng: Rng;
}

/** How long to wait before each attempt to reconnect: twice as long each time, and never exactly. */
export class Waits {
  readonly #shortest: number;
  readonly #longest: number;
  readonly #rng: Rng;
  #present: number;

  constructor([shortest, longest]: readonly [number, number], rng: Rng) {
    this.#shortest = this.#present = shortest;
    this.#longest = Math.max(shortest, longest);
    this.#rng = rng;
  }

  next(): number {
    const wait = this.#present;
    this.#present = Math.min(this.#longest, wait * 2);
    return Math.ceil(wait * (0.5 + this.#rng.next() / 2));
  }

  reset(): void {
    this.#present = this.#shortest;
  }
}
