import { Heap } from "./heap.ts";

/** Time as it is passed in. */
export interface Clock {
  /** Milliseconds since the epoch: what deadlines are counted in. */
  now(): number;
  /** Milliseconds with fractions that never go back: for measuring durations only. */
  monotonic(): number;
  /** Calls back once, `ms` from now. The answer cancels it. */
  setTimer(ms: number, callback: () => void): () => void;
}

const longestTimerMs = 2 ** 31 - 1;

/** The clock of the machine. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer(ms, callback) {
      const id = setTimeout(callback, Math.min(Math.max(0, ms), longestTimerMs));
      return () => clearTimeout(id);
    },
  };
}

/** Waits by a clock. Rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.setTimer(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Waits until work has settled, at most `ms`. */
export async function settledWithin(
  clock: Clock,
  ms: number,
  work: readonly Promise<unknown>[],
): Promise<void> {
  if (work.length === 0) return;
  const enough = new AbortController();
  const limit = sleep(clock, ms, enough.signal).catch(() => {});
  await Promise.race([Promise.allSettled(work), limit]);
  enough.abort();
}

interface FakeTimer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** A clock that moves only when told to: whole clusters run on it in one test. */
export class FakeClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers = new Heap<FakeTimer>((a, b) =>
    a.at < b.at || (a.at === b.at && a.order < b.order)
  );

  /** Starts at `now`, in milliseconds since the epoch. */
  constructor(now = 1_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  setTimer(ms: number, callback: () => void): () => void {
    const at = this.#now + Math.max(0, ms);
    const timer: FakeTimer = { at, order: this.#order++, callback, cancelled: false };
    this.#timers.push(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** Moves time on by `ms`, firing each timer at its moment and letting what it woke run first. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.settle();
    for (let next = this.#timers.peek(); next && next.at <= end; next = this.#timers.peek()) {
      this.#timers.pop();
      if (next.cancelled) continue;
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await this.settle();
    }
    this.#now = end;
  }

  /** Lets every microtask that is ready run, without moving time. */
  async settle(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}
