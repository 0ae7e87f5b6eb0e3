import type { Supervision } from "./actor.ts";

/** What applies when a definition says nothing. */
export const defaultSupervision: Supervision = { restarts: 3, withinMs: 60_000 };

/** Counts restarts in a sliding window. */
export class RestartIntensity {
  readonly #limit: Supervision;
  #restarts: number[] = [];

  constructor(limit: Supervision = defaultSupervision) {
    this.#limit = limit;
  }

  /** Whether one more restart is within the limit; if so it is counted. */
  allow(now: number): boolean {
    this.#restarts = this.#restarts.filter((at) => now - at < this.#limit.withinMs);
    if (this.#restarts.length >= this.#limit.restarts) return false;
    this.#restarts.push(now);
    return true;
  }
}
