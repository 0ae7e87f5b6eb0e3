import { ActorError } from "./errors.ts";
import type { Deadlines, Timed } from "./deadlines.ts";
import type { ReplySink } from "./letter.ts";

/** The request behind a pending answer: a letter here, or one on another lane. */
export interface Request {
  /** Tells the one at work that the answer is not wanted any more. */
  abort(error: ActorError): void;
}

/** An answer that is waited for. */
export class PendingAsk implements ReplySink, Timed {
  readonly promise: Promise<unknown>;
  readonly deadline: number;
  settled = false;
  request: Request | null = null;
  #resolve!: (value: unknown) => void;
  #reject!: (error: ActorError) => void;
  readonly #deadlines: Deadlines;
  #unlisten: (() => void) | null = null;

  constructor(deadline: number, deadlines: Deadlines) {
    this.deadline = deadline;
    this.#deadlines = deadlines;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    deadlines.add(this);
  }

  /** Cancels the request when the signal is aborted. */
  follow(signal: AbortSignal): void {
    this.#unlisten = onAbort(signal, () => this.#abandon(cancelled(signal)));
  }

  resolve(value: unknown): void {
    if (this.settled) return;
    this.#settle();
    this.#resolve(value);
  }

  reject(error: ActorError): void {
    if (this.settled) return;
    this.#settle();
    this.#reject(error);
  }

  expire(): void {
    this.#abandon(new ActorError("Timeout", "Deadline passed before the answer"));
  }

  #abandon(error: ActorError): void {
    if (this.settled) return;
    this.reject(error);
    this.request?.abort(error);
  }

  #settle(): void {
    this.settled = true;
    this.#deadlines.release();
    this.#unlisten?.();
  }
}

/** Listens for one abort. The answer stops listening. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  signal.addEventListener("abort", callback, { once: true });
  return () => signal.removeEventListener("abort", callback);
}

/** The error of a request whose signal was aborted; an `ActorError` as the reason is kept. */
export function cancelled(signal: AbortSignal): ActorError {
  if (signal.reason instanceof ActorError) return signal.reason;
  return new ActorError("Cancelled", "Request was cancelled", { cause: signal.reason });
}
