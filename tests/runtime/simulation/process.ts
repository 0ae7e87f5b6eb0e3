import type { Clock, Transport } from "../../../runtime/mod.ts";

/**
 * A process as the world sees it: while it is paused nothing of it runs, and what came meanwhile, timers
 * and messages, waits for it. Its own time may run a little faster or slower than the true one.
 */
export class Process {
  readonly clock: Clock;
  #held: (() => void)[] | null = null;

  constructor(trueClock: Clock, rate: number) {
    this.clock = {
      now: () => trueClock.now(),
      monotonic: () => trueClock.monotonic() * rate,
      setTimer: (ms, callback) => {
        let isCancelled = false;
        const fire = () => isCancelled || callback();
        const cancel = trueClock.setTimer(ms / rate, () => this.#run(fire));
        return () => {
          isCancelled = true;
          cancel();
        };
      },
    };
  }

  /** The transport as this process has it. */
  attach(transport: Transport): Transport {
    return {
      ...transport,
      subscribe: (pattern, callback) =>
        transport.subscribe(pattern, (subject, bytes) => this.#run(() => callback(subject, bytes))),
      watch: (callback) => transport.watch((event) => this.#run(() => callback(event))),
    };
  }

  pause(): void {
    this.#held ??= [];
  }

  /** Goes on: what waited runs at once, in the order in which it came. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const work of held) work();
  }

  #run(work: () => void): void {
    if (this.#held) this.#held.push(work);
    else work();
  }
}
