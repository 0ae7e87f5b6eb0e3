import type { Clock } from "../../runtime/mod.ts";

/** Counts steps, and the time in which any is under way. */
export class StepMeter {
  readonly #clock: Clock;
  #inFlight = 0;
  #steps = 0;
  #tokens = 0;
  #busyMs = 0;
  #since = 0;
  #roundMs = 0;

  /** Measures by `clock`. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Steps under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Steps computed. */
  get steps(): number {
    return this.#steps;
  }

  /** Tokens computed. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Milliseconds in which a step was under way; one that still is counts at its end. */
  get busyMs(): number {
    return this.#busyMs;
  }

  /** Milliseconds that a round of the last step took, since it or another in flight with it was begun. */
  get roundMs(): number {
    return this.#roundMs;
  }

  /** Notes that a step starts. */
  begin(): void {
    if (this.#inFlight++ === 0) this.#since = this.#clock.monotonic();
  }

  /** Notes that a step of so many tokens is computed, in so many rounds. */
  end(tokens: number, rounds: number): void {
    const elapsed = this.#clock.monotonic() - this.#since;
    this.#steps += rounds;
    this.#tokens += tokens;
    this.#roundMs = elapsed / rounds;
    if (--this.#inFlight === 0) this.#busyMs += elapsed;
  }
}
