import { ActorError } from "./errors.ts";
import type { Clock } from "./clock.ts";
import type { Deadlines, Timed } from "./deadlines.ts";
import type { CreditWindow } from "./credit.ts";
import type { Movable } from "./ref.ts";
import type { Span, Tracer } from "./telemetry/mod.ts";

/** Who is owed one answer. Only the first call counts. */
export interface ReplySink {
  resolve(value: unknown, transfer?: readonly Movable[]): void;
  reject(error: ActorError): void;
}

/** Who is owed a stream. */
export interface StreamSink {
  readonly window: CreditWindow;
  item(value: unknown, index: number, transfer?: readonly Movable[]): void;
  end(): void;
  reject(error: ActorError): void;
}

/** One message in a mailbox, and what is owed for it. */
export class Letter implements Timed {
  readonly method: string;
  readonly message: unknown;
  readonly bytes: number;
  readonly deadline: number;
  readonly reply: ReplySink | null;
  readonly stream: StreamSink | null;
  /** Answered, or not wanted any more. */
  settled = false;
  transfer: readonly Movable[] | undefined = undefined;
  /** What it is to tracers: a `traceparent`. */
  trace: string | undefined = undefined;
  #span: Span | null = null;
  #deadlines: Deadlines | null = null;
  #controller: AbortController | null = null;
  #abortReason: ActorError | null = null;

  constructor(
    method: string,
    message: unknown,
    bytes: number,
    deadline: number,
    reply: ReplySink | null,
    stream: StreamSink | null,
  ) {
    this.method = method;
    this.message = message;
    this.bytes = bytes;
    this.deadline = deadline;
    this.reply = reply;
    this.stream = stream;
  }

  /** The handler's signal. Made on demand, since most handlers never look at it. */
  signal(deadlines: Deadlines): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#abortReason) this.#controller.abort(this.#abortReason);
      else if (!this.settled) {
        this.#deadlines = deadlines;
        deadlines.add(this);
      }
    }
    return this.#controller.signal;
  }

  /** Measures it from now until it is answered, as the work of an actor. */
  measure(tracer: Tracer, kind: string, actor: string): void {
    if (this.trace === undefined) return;
    this.#span = tracer.start(`${kind}.${this.method}`, this.trace, { actor });
    this.trace = this.#span.trace;
  }

  /** Answers, unless the answer is too late. */
  resolve(value: unknown, clock: Clock): void {
    if (this.settled) return;
    if (this.deadline !== Infinity && clock.now() > this.deadline) return this.expire();
    this.settle();
    this.reply?.resolve(value, this.transfer);
  }

  /** Answers at once, in the turn whose start was within the deadline. */
  resolveNow(value: unknown): void {
    if (this.settled) return;
    this.settle();
    this.reply?.resolve(value, this.transfer);
  }

  /** Ends a stream. */
  end(): void {
    if (this.settled) return;
    this.settle();
    this.stream?.end();
  }

  /** Fails the answer or the stream. */
  reject(error: ActorError): void {
    if (this.settled) return;
    this.settle(error);
    this.reply?.reject(error);
    this.stream?.reject(error);
  }

  /** Fails it and tells the handler that may be at work on it. */
  abort(error: ActorError): void {
    this.#abortReason ??= error;
    this.reject(error);
    this.#controller?.abort(this.#abortReason);
    this.stream?.window.close();
  }

  expire(): void {
    this.abort(new ActorError("Timeout", `Deadline passed while handling: ${this.method}`));
  }

  /** Marks it as answered. */
  settle(error?: ActorError): void {
    this.settled = true;
    this.#span?.end(error);
    this.#span = null;
    this.#deadlines?.release();
    this.#deadlines = null;
  }
}
