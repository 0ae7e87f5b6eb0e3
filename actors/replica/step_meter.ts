import type { Clock } from "../../runtime/mod.ts";

/** Counts steps, and the time in which any is under way. */
export class StepMeter {
  readonly #clock: Clock;
  #inFlight = 0;
  #steps = 0;
  #tokens = 0;
  #busyMs = 0;
  #since = 0;

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

  /** Notes that a step starts. */
  begin(): void {
    if (this.#inFlight++ === 0) this.#since = this.#clock.monotonic();
  }

  /** Notes that a step of so many tokens is computed. */
  end(tokens: number): void {
    this.#steps++;
    this.#tokens += tokens;
    if (--this.#inFlight === 0) this.#busyMs += this.#clock.monotonic() - this.#since;
  }
}
