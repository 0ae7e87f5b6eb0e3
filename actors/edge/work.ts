import { ActorError, type Clock } from "../../runtime/mod.ts";
import { overloaded, unavailable } from "./errors.ts";

/** How much work there may be. */
export interface AdmissionOptions {
  readonly clock: Clock;
  readonly concurrentRequests: number;
  readonly requestMs: number;
}

/** One request at work: what ends it, from whatever side. */
export interface Work {
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Aborted by the client, the deadline or a stopping server; the reason is an `ActorError`. */
  readonly signal: AbortSignal;
  /** Aborts it: nobody waits for the answer any more. */
  cancel(): void;
  /** Calls back once when the place is given back. */
  onFinish(callback: () => void): void;
  /** Gives the place back. */
  finish(): void;
}

/** Counts the requests at work, refuses what is over the limit and waits for the last of them. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #running = new Set<AbortController>();
  #draining = false;
  #emptied: (() => void)[] = [];

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#running.size;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Takes a place for a request. Throws `HttpError` 429 or 503. */
  enter(client: AbortSignal): Work {
    const { clock, concurrentRequests, requestMs } = this.#options;
    if (this.#draining) throw unavailable("Cannot take requests, the server is stopping");
    if (this.#running.size >= concurrentRequests) {
      throw overloaded(`Cannot take more than ${concurrentRequests} requests at once`);
    }
    const controller = new AbortController();
    const disconnect = () => controller.abort(new ActorError("Cancelled", "The client has gone"));
    const late = new ActorError("Timeout", "The request took too long");
    const disarm = clock.setTimer(requestMs, () => controller.abort(late));
    const callbacks: (() => void)[] = [];
    this.#running.add(controller);
    client.addEventListener("abort", disconnect, { once: true });
    if (client.aborted) disconnect();
    return {
      deadline: clock.now() + requestMs,
      signal: controller.signal,
      cancel: disconnect,
      onFinish: (callback) => callbacks.push(callback),
      finish: () => {
        disarm();
        for (const callback of callbacks.splice(0)) callback();
        client.removeEventListener("abort", disconnect);
        this.#leave(controller);
      },
    };
  }

  /** Takes no more work and waits for what there is; after the grace period it is cancelled. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    if (this.#running.size === 0) return;
    const stopping = new ActorError("Terminated", "The server is stopping");
    const disarm = this.#options.clock.setTimer(graceMs, () => {
      for (const controller of this.#running) controller.abort(stopping);
    });
    await new Promise<void>((resolve) => this.#emptied.push(resolve));
    disarm();
  }

  #leave(controller: AbortController): void {
    if (!this.#running.delete(controller) || this.#running.size > 0) return;
    for (const resolve of this.#emptied.splice(0)) resolve();
  }
}
