/** What may be cancelled. A message's signal is made on demand, which costs more than most steps wait. */
export interface Cancellable {
  /** Aborted when the answer is not wanted any more. */
  readonly signal: AbortSignal;
}

/** Work that must not overlap, done in the order in which it is asked for. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Work that waits or runs. */
  get length(): number {
    return this.#waiting;
  }

  /** Does `work` once all before it is done; not at all when it had to wait and is cancelled by then. */
  run<T>(work: () => Promise<T>, request: Cancellable): Promise<T> {
    const waits = this.#waiting++ > 0;
    const result = this.#last.then(() => {
      if (waits) request.signal.throwIfAborted();
      return work();
    });
    this.#last = result.catch(() => {}).then(letEventsIn).then(() => this.#waiting--);
    return result;
  }
}

/** Lets messages and timers of this isolate run, so that answers leave and cancellations are seen. */
export function letEventsIn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
