import { cancelled, onAbort, type Request } from "./ask.ts";
import { CreditWindow, maxCredits } from "./credit.ts";
import type { Deadlines, Timed } from "./deadlines.ts";
import { ActorError } from "./errors.ts";
import type { Letter, StreamSink } from "./letter.ts";

/** The request behind a stream. */
export interface StreamRequest extends Request {
  /** Allows so many items in all. */
  grant(total: number): void;
}

/** The reading end of a stream: it holds at most `credits` items that are not read yet. */
export class StreamReader implements AsyncIterableIterator<unknown>, StreamSink, Timed {
  readonly window: CreditWindow;
  readonly credits: number;
  deadline = Infinity;
  settled = false;
  request: StreamRequest | null = null;
  #items: unknown[] = [];
  #taken = 0;
  #granted: number;
  #error: ActorError | null = null;
  #waiting: PromiseWithResolvers<IteratorResult<unknown>> | null = null;
  #open: ((reader: StreamReader) => void) | null;
  #unlisten: (() => void) | null = null;
  readonly #deadlines: Deadlines;

  constructor(credits: number, deadlines: Deadlines, open: (reader: StreamReader) => void) {
    this.credits = this.#granted = Math.min(Math.max(1, credits), maxCredits);
    this.window = new CreditWindow(this.credits);
    this.#deadlines = deadlines;
    this.#open = open;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown>> {
    this.#start();
    if (this.#items.length > 0) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#error) return this.#fail();
    if (this.settled) return Promise.resolve({ done: true, value: undefined });
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  return(): Promise<IteratorResult<unknown>> {
    this.#open = null;
    this.#items = [];
    this.#abandon(new ActorError("Cancelled", "Stream was left"));
    this.#error = null;
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Waits at most until `deadline`, and gives up when the signal is aborted. */
  limit(deadline: number, signal: AbortSignal | undefined): void {
    this.deadline = deadline;
    this.#deadlines.add(this);
    if (signal) this.#unlisten = onAbort(signal, () => this.#abandon(cancelled(signal)));
  }

  item(value: unknown): void {
    if (this.settled) return;
    this.#items.push(value);
    if (!this.#waiting) return;
    const { resolve } = this.#waiting;
    this.#waiting = null;
    resolve({ done: false, value: this.#take() });
  }

  end(): void {
    if (this.settled) return;
    this.#settle();
    this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = null;
  }

  reject(error: ActorError): void {
    if (this.settled) return;
    this.#settle();
    this.#error = error;
    if (!this.#waiting) return;
    const { reject } = this.#waiting;
    this.#waiting = this.#error = null;
    reject(error);
  }

  expire(): void {
    this.#abandon(new ActorError("Timeout", "Deadline passed before the stream ended"));
  }

  #start(): void {
    const open = this.#open;
    this.#open = null;
    try {
      open?.(this);
    } catch (error) {
      this.reject(error as ActorError);
    }
  }

  #take(): unknown {
    this.#taken++;
    if (this.#taken + this.credits - this.#granted >= this.credits / 2 && !this.settled) {
      this.#granted = this.#taken + this.credits;
      this.request?.grant(this.#granted);
    }
    return this.#items.shift();
  }

  #fail(): Promise<never> {
    const error = this.#error;
    this.#error = null;
    return Promise.reject(error);
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

/** Moves what a handler yields to the reader, an item for a credit, until either has enough. */
export async function pump(items: AsyncIterable<unknown>, letter: Letter): Promise<void> {
  const { window } = letter.stream!;
  const iterator = items[Symbol.asyncIterator]();
  let done = false;
  try {
    while (!letter.settled) {
      if (!window.isOpen) await window.opened();
      if (letter.settled) break;
      const step = await iterator.next();
      if (step.done) {
        done = true;
        break;
      }
      if (letter.settled) break;
      letter.stream!.item(step.value, window.use(), letter.transfer);
      letter.transfer = undefined;
    }
  } catch (thrown) {
    done = true;
    throw thrown;
  } finally {
    if (!done) await iterator.return?.();
  }
  letter.end();
}
