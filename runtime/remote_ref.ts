import { cancelled, PendingAsk } from "./ask.ts";
import type { ActorError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { deadlineOf, type RefHost } from "./local_ref.ts";
import type { AskOptions, StreamOptions, TellOptions } from "./ref.ts";
import { StreamReader } from "./stream.ts";
import { endpointOf } from "./transport/mod.ts";

/** A reference to an actor of another isolate: a Worker thread or another node. */
export class RemoteRef {
  readonly address: string;
  readonly #at: string;
  readonly #host: RefHost;
  readonly #exchange: Exchange;

  constructor(address: string, host: RefHost, exchange: Exchange) {
    this.address = address;
    this.#at = endpointOf(address);
    this.#host = host;
    this.#exchange = exchange;
  }

  tell(method: string, message?: unknown, options?: TellOptions): void {
    const deadline = options ? deadlineOf(options, Infinity, this.#host.clock) : Infinity;
    const from = this.#exchange.endpoint;
    const envelope = { type: "tell", to: this.address, from, method, message, deadline } as const;
    this.#exchange.send(envelope, options?.transfer);
  }

  ask(method: string, message?: unknown, options?: AskOptions): Promise<unknown> {
    const { clock, deadlines, defaults } = this.#host;
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(cancelled(signal));
    const deadline = deadlineOf(options, defaults.askDeadlineMs, clock);
    const ask = new PendingAsk(deadline, deadlines);
    const id = this.#exchange.expect({ type: "ask", from: this.address, sink: ask });
    ask.request = { abort: () => this.#cancel(id) };
    if (signal) ask.follow(signal);
    const from = this.#exchange.endpoint;
    const envelope = {
      type: "ask",
      to: this.address,
      from,
      id,
      method,
      message,
      deadline,
    } as const;
    try {
      this.#exchange.send(traced(envelope, options), options?.transfer);
    } catch (error) {
      this.#exchange.forget(id);
      ask.reject(error as ActorError);
    }
    return ask.promise;
  }

  stream(method: string, message?: unknown, options?: StreamOptions): StreamReader {
    const { deadlines, defaults } = this.#host;
    const open = (reader: StreamReader) => this.#open(reader, method, message, options);
    return new StreamReader(options?.credits ?? defaults.credits, deadlines, open);
  }

  #open(reader: StreamReader, method: string, message: unknown, options?: StreamOptions): void {
    const { clock, defaults } = this.#host;
    const signal = options?.signal;
    if (signal?.aborted) throw cancelled(signal);
    const deadline = deadlineOf(options, defaults.streamDeadlineMs, clock);
    const id = this.#exchange.expect({
      type: "stream",
      from: this.address,
      sink: reader,
      received: 0,
    });
    const { credits } = reader;
    const from = this.#exchange.endpoint;
    reader.request = {
      abort: () => this.#cancel(id),
      grant: (granted) =>
        this.#exchange.sendOrBury({ type: "credit", to: this.#at, from, id, granted }),
    };
    reader.limit(deadline, signal);
    const to = this.address;
    const envelope = { type: "stream", to, from, id, method, message, deadline, credits } as const;
    try {
      this.#exchange.send(traced(envelope, options), options?.transfer);
    } catch (error) {
      this.#exchange.forget(id);
      throw error;
    }
  }

  #cancel(id: number): void {
    this.#exchange.forget(id);
    const from = this.#exchange.endpoint;
    this.#exchange.sendOrBury({ type: "cancel", to: this.#at, from, id });
  }
}

function traced<E extends object>(envelope: E, options: AskOptions | undefined): E {
  const trace = options?.trace;
  return trace === undefined ? envelope : { ...envelope, trace };
}
