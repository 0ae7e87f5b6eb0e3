import { cancelled, PendingAsk } from "./ask.ts";
import type { Cell } from "./cell.ts";
import type { Clock } from "./clock.ts";
import type { Deadlines } from "./deadlines.ts";
import { ActorError } from "./errors.ts";
import { Letter } from "./letter.ts";
import type { ActorRef, AskOptions, StreamOptions, TellOptions } from "./ref.ts";
import { sizeOf } from "./size.ts";
import { StreamReader } from "./stream.ts";

/** What references need of the system. */
export interface RefHost {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly defaults: RefDefaults;
}

/** What applies when options say nothing. */
export interface RefDefaults {
  /** How long an ask waits. */
  readonly askDeadlineMs: number;
  /** How long a stream may take as a whole. */
  readonly streamDeadlineMs: number;
  /** How many items of a stream may be on their way unread. */
  readonly credits: number;
}

/** The moment until which a request waits. */
export function deadlineOf(
  options: TellOptions | undefined,
  defaultMs: number,
  clock: Clock,
): number {
  const relative = options?.deadlineMs;
  const absolute = options?.deadline ?? Infinity;
  if (relative !== undefined) return Math.min(absolute, clock.now() + relative);
  return absolute === Infinity ? clock.now() + defaultMs : absolute;
}

/** Finds the actor that has an address now. */
export type FindCell = () => Cell | undefined;

/** A reference to an actor of this isolate: straight to its mailbox, nothing copied. */
export class LocalRef {
  readonly address: string;
  readonly #host: RefHost;
  readonly #find: FindCell;
  #cell: Cell | undefined;

  constructor(address: string, host: RefHost, find: FindCell) {
    this.address = address;
    this.#host = host;
    this.#find = find;
    this.#cell = find();
  }

  tell(method: string, message?: unknown, options?: TellOptions): void {
    const deadline = options ? deadlineOf(options, Infinity, this.#host.clock) : Infinity;
    this.#post(new Letter(method, message, sizeOf(message), deadline, null, null));
  }

  ask(method: string, message?: unknown, options?: AskOptions): Promise<unknown> {
    const { clock, deadlines, defaults } = this.#host;
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(cancelled(signal));
    const deadline = options
      ? deadlineOf(options, defaults.askDeadlineMs, clock)
      : clock.now() + defaults.askDeadlineMs;
    const ask = new PendingAsk(deadline, deadlines);
    const letter = new Letter(method, message, sizeOf(message), deadline, ask, null);
    ask.request = letter;
    letter.trace = options?.trace;
    if (signal) ask.follow(signal);
    try {
      this.#post(letter);
    } catch (error) {
      ask.reject(error as ActorError);
    }
    return ask.promise;
  }

  stream(method: string, message?: unknown, options?: StreamOptions): StreamReader {
    const { clock, deadlines, defaults } = this.#host;
    const open = (reader: StreamReader) => {
      const signal = options?.signal;
      if (signal?.aborted) throw cancelled(signal);
      const deadline = deadlineOf(options, defaults.streamDeadlineMs, clock);
      const letter = new Letter(method, message, sizeOf(message), deadline, null, reader);
      letter.trace = options?.trace;
      reader.request = {
        abort: (error) => letter.abort(error),
        grant: (total) => reader.window.grant(total),
      };
      reader.limit(deadline, signal);
      this.#post(letter);
    };
    return new StreamReader(options?.credits ?? defaults.credits, deadlines, open);
  }

  #post(letter: Letter): void {
    if (this.#cell === undefined || !this.#cell.isAlive) this.#cell = this.#find() ?? this.#cell;
    if (this.#cell === undefined) {
      throw new ActorError("NoRoute", `No such actor: ${this.address}`);
    }
    this.#cell.post(letter);
  }
}

/** The typed face of an untyped reference. */
export function typed<P>(ref: LocalRef | UntypedRef): ActorRef<P> {
  return ref as unknown as ActorRef<P>;
}

/** What every lane's reference can do. */
export interface UntypedRef {
  readonly address: string;
  tell(method: string, message?: unknown, options?: TellOptions): void;
  ask(method: string, message?: unknown, options?: AskOptions): Promise<unknown>;
  stream(method: string, message?: unknown, options?: StreamOptions): AsyncIterable<unknown>;
}
