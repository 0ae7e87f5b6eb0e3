import type { Clock } from "./clock.ts";

/** Something with turns to run. */
export interface Runnable {
  /** Runs at most `limit` turns and answers how many. */
  runTurns(limit: number): number;
  /** Whether a turn could start now. */
  readonly runnable: boolean;
}

const turnsPerBatch = 64;
const turnsPerSlice = 4096;
const sliceMs = 8;
const idleMs = 1;

/**
 * Runs actors in microtasks, round robin, in batches. After a slice of work it lets the event loop
 * take a turn, so that input and output are not starved.
 */
export class Scheduler {
  readonly #clock: Clock;
  #ready: Runnable[] = [];
  #next: Runnable[] = [];
  #armed = false;
  #turns = 0;
  #sliceStart = 0;
  #lastRun = 0;
  readonly #run = () => this.#runSlice();
  readonly #resume = () => {
    this.#turns = 0;
    this.#sliceStart = this.#clock.now();
    this.#runSlice();
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Schedules one that became runnable. The caller sees to it that it is scheduled only once. */
  ready(runnable: Runnable): void {
    this.#ready.push(runnable);
    if (this.#armed) return;
    this.#armed = true;
    queueMicrotask(this.#run);
  }

  #runSlice(): void {
    let now = this.#clock.now();
    // A gap means that the event loop has just had its turn.
    if (now - this.#lastRun > idleMs) this.#sliceStart = now;
    while (this.#ready.length > 0) {
      if (this.#turns >= turnsPerSlice || now - this.#sliceStart > sliceMs) {
        this.#lastRun = now;
        setImmediate(this.#resume);
        return;
      }
      this.#runRound();
      now = this.#clock.now();
    }
    this.#lastRun = now;
    this.#armed = false;
  }

  #runRound(): void {
    const round = this.#ready;
    this.#ready = this.#next;
    for (let i = 0; i < round.length; i++) {
      const runnable = round[i]!;
      this.#turns += runnable.runTurns(turnsPerBatch);
      if (runnable.runnable) this.#ready.push(runnable);
    }
    round.length = 0;
    this.#next = round;
  }
}
