/** Work that must not overlap, done in the order in which it is asked for. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Work that waits or runs. */
  get length(): number {
    return this.#waiting;
  }

  /** Does `work` once all before it is done; not at all when the signal is aborted by then. */
  run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    this.#waiting++;
    const result = this.#last.then(() => {
      signal.throwIfAborted();
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
