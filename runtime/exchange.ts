import type { PendingAsk } from "./ask.ts";
import type { Cell } from "./cell.ts";
import type { Clock } from "./clock.ts";
import type { DeadLetters } from "./dead_letters.ts";
import { ActorError, errorFromWire, errorToWire, toActorError } from "./errors.ts";
import { Letter, type StreamSink } from "./letter.ts";
import { RemoteReply, RemoteStream } from "./remote_reply.ts";
import type { Movable, TerminationReason } from "./ref.ts";
import type { Rng } from "./rng.ts";
import { sizeOf } from "./size.ts";
import {
  type AskEnvelope,
  endpointOf,
  type Envelope,
  type ItemEnvelope,
  type Link,
  type StreamEnvelope,
  type TellEnvelope,
} from "./transport/mod.ts";

/** What an exchange needs of the system. */
export interface ExchangeHost {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly deadLetters: DeadLetters;
  find(address: string): Cell | undefined;
}

/** One that waits here for something from another lane. */
export type Waiting =
  | { readonly type: "ask"; readonly at: string; readonly sink: PendingAsk }
  | { readonly type: "stream"; readonly at: string; readonly sink: StreamSink; received: number }
  | {
    readonly type: "watch";
    readonly at: string;
    readonly callback: (reason: TerminationReason) => void;
  };

/** Something done here for another lane, which it may cancel. */
interface Serving {
  readonly from: string;
  cancel(error: ActorError): void;
  grant?(total: number): void;
}

/** Where lanes meet: sends what leaves this isolate and receives what comes in. */
export class Exchange {
  /** This isolate: `node/lane`. */
  readonly endpoint: string;
  readonly #host: ExchangeHost;
  readonly #links = new Map<string, Link>();
  #elsewhere: Link | null = null;
  readonly #waiting = new Map<number, Waiting>();
  readonly #serving = new Map<string, Serving>();
  // A random start: an answer that was meant for a former life of this node finds nobody.
  #nextId: number;

  constructor(endpoint: string, host: ExchangeHost) {
    this.endpoint = endpoint;
    this.#host = host;
    this.#nextId = host.rng.integer(2 ** 50);
  }

  // Links.

  /** The link to one endpoint. */
  addLink(endpoint: string, link: Link): void {
    this.#links.set(endpoint, link);
  }

  /** The link to every endpoint that has none of its own. */
  setElsewhere(link: Link): void {
    this.#elsewhere = link;
  }

  /** Forgets the endpoints that match, and fails what waits for them. */
  down(matches: (endpoint: string) => boolean, why: string): void {
    for (const endpoint of [...this.#links.keys()]) {
      if (matches(endpoint)) this.#links.delete(endpoint);
    }
    const error = new ActorError("Terminated", why);
    for (const [id, waiting] of [...this.#waiting]) {
      if (!matches(waiting.at)) continue;
      this.#waiting.delete(id);
      if (waiting.type === "watch") waiting.callback({ type: "Lost", message: why });
      else waiting.sink.reject(error);
    }
    for (const [key, serving] of [...this.#serving]) {
      if (!matches(serving.from)) continue;
      this.#serving.delete(key);
      serving.cancel(new ActorError("Cancelled", why));
    }
  }

  async close(): Promise<void> {
    this.down(() => true, "System was shut down");
    await this.#elsewhere?.close();
  }

  // Outwards.

  /** Registers one that waits, and answers its id. */
  expect(waiting: Waiting): number {
    const id = this.#nextId++;
    this.#waiting.set(id, waiting);
    return id;
  }

  /** Watches an actor of any lane. The answer stops watching. */
  watch(address: string, callback: (reason: TerminationReason) => void): () => void {
    const at = endpointOf(address);
    if (at === this.endpoint) {
      const cell = this.#host.find(address);
      if (cell) return cell.addWatcher(callback);
      callback({ type: "Lost", message: `No such actor: ${address}` });
      return () => {};
    }
    const id = this.expect({ type: "watch", at, callback });
    const from = this.endpoint;
    try {
      this.send({ type: "watch", to: address, from, id });
    } catch (thrown) {
      this.forget(id);
      callback({ type: "Lost", message: toActorError(thrown).message });
    }
    return () => {
      if (this.#waiting.delete(id)) this.sendOrBury({ type: "cancel", to: at, from, id });
    };
  }

  /** Nobody waits any more. */
  forget(id: number): void {
    this.#waiting.delete(id);
  }

  /** Sends, or throws `ActorError`. */
  send(envelope: Envelope, transfer?: readonly Movable[]): void {
    const endpoint = endpointOf(envelope.to);
    if (endpoint === this.endpoint) return this.receive(envelope);
    const own = `${this.endpoint.slice(0, this.endpoint.indexOf("/"))}/`;
    const sibling = endpoint.startsWith(own) && this.endpoint === `${own}main`;
    const link = this.#links.get(endpoint) ?? (sibling ? null : this.#elsewhere);
    if (!link) throw new ActorError("NoRoute", `No route to: ${endpoint}`);
    link.send(envelope, transfer);
  }

  /** Sends what nobody waits for: a failure ends as a dead letter. */
  sendOrBury(envelope: Envelope): void {
    try {
      this.send(envelope);
    } catch (thrown) {
      const reason = toActorError(thrown).code;
      this.#host.deadLetters.add({ to: envelope.to, method: envelope.type, reason });
    }
  }

  // Inwards.

  /** Takes an envelope from a link: for this isolate, or to be passed on. */
  receive(envelope: Envelope): void {
    if (endpointOf(envelope.to) !== this.endpoint) return this.#passOn(envelope);
    switch (envelope.type) {
      case "tell":
      case "ask":
      case "stream":
        return this.#deliver(envelope);
      case "watch":
        return this.#watch(envelope.to, envelope.from, envelope.id);
      case "cancel":
        return this.#cancel(`${envelope.from}#${envelope.id}`);
      case "credit":
        return this.#serving.get(`${envelope.from}#${envelope.id}`)?.grant?.(envelope.granted);
      default:
        return this.#answer(envelope);
    }
  }

  #passOn(envelope: Envelope): void {
    try {
      this.send(envelope);
    } catch (thrown) {
      this.#refuse(envelope, toActorError(thrown));
    }
  }

  #refuse(envelope: Envelope, error: ActorError): void {
    const { type, to } = envelope;
    if (type === "ask" || type === "stream") {
      const { from, id } = envelope;
      this.sendOrBury({ type: "fail", to: from, id, error: errorToWire(error) });
    } else if (type === "watch") {
      const reason = { type: "Lost", message: error.message } as const;
      this.sendOrBury({ type: "down", to: envelope.from, id: envelope.id, reason });
    } else {
      const method = type === "tell" ? envelope.method : type;
      this.#host.deadLetters.add({ to, method, reason: error.code });
    }
  }

  #deliver(envelope: TellEnvelope | AskEnvelope | StreamEnvelope): void {
    const cell = this.#host.find(envelope.to);
    if (!cell) {
      if (envelope.type !== "tell") this.#buryUnknown(envelope);
      return this.#refuse(envelope, new ActorError("NoRoute", `No such actor: ${envelope.to}`));
    }
    const letter = this.#open(envelope);
    try {
      cell.post(letter);
    } catch (error) {
      letter.reject(error as ActorError);
    }
  }

  #buryUnknown({ to, method, message }: AskEnvelope | StreamEnvelope): void {
    this.#host.deadLetters.add({ to, method, reason: "NoRoute", message });
  }

  #open(envelope: TellEnvelope | AskEnvelope | StreamEnvelope): Letter {
    const { type, method, message, deadline } = envelope;
    const bytes = sizeOf(message);
    if (type === "tell") return new Letter(method, message, bytes, deadline, null, null);
    const { from, id } = envelope;
    const key = `${from}#${id}`;
    const done = () => this.#serving.delete(key);
    const reply = type === "ask" ? new RemoteReply(this, from, id, done) : null;
    const stream = type === "stream"
      ? new RemoteStream(this, from, id, envelope.credits, done)
      : null;
    const letter = new Letter(method, message, bytes, deadline, reply, stream);
    this.#serving.set(key, {
      from,
      cancel: (error) => {
        if (reply) reply.abandoned = true;
        if (stream) stream.abandoned = true;
        letter.abort(error);
      },
      grant: (total) => stream?.window.grant(total),
    });
    return letter;
  }

  #watch(to: string, from: string, id: number): void {
    const key = `${from}#${id}`;
    const answer = (reason: TerminationReason) => {
      this.#serving.delete(key);
      this.sendOrBury({ type: "down", to: from, id, reason });
    };
    const cell = this.#host.find(to);
    if (!cell) return answer({ type: "Lost", message: `No such actor: ${to}` });
    this.#serving.set(key, { from, cancel: cell.addWatcher(answer) });
  }

  #cancel(key: string): void {
    const serving = this.#serving.get(key);
    this.#serving.delete(key);
    serving?.cancel(new ActorError("Cancelled", "Request was cancelled"));
  }

  #answer(envelope: Exclude<Envelope, { readonly from: string } | TellEnvelope>): void {
    const { id, to, type } = envelope;
    const waiting = this.#waiting.get(id);
    if (!waiting) return this.#host.deadLetters.add({ to, method: type, reason: "Late" });
    if (type === "item" && waiting.type === "stream") return this.#item(envelope, waiting);
    this.#waiting.delete(id);
    if (type === "fail" && waiting.type !== "watch") {
      waiting.sink.reject(errorFromWire(envelope.error));
    } else if (type === "reply" && waiting.type === "ask") {
      if (this.#host.clock.now() > waiting.sink.deadline) waiting.sink.expire();
      else waiting.sink.resolve(envelope.message);
    } else if (type === "end" && waiting.type === "stream") {
      if (envelope.count === waiting.received) waiting.sink.end();
      else waiting.sink.reject(gap(waiting.received));
    } else if (type === "down" && waiting.type === "watch") {
      waiting.callback(envelope.reason);
    } else if (waiting.type !== "watch") {
      waiting.sink.reject(new ActorError("AppError", `Answer of the wrong type: ${type}`));
    }
  }

  /** A stream is whole or it fails: an item out of its place ends it. */
  #item(item: ItemEnvelope, waiting: Extract<Waiting, { readonly type: "stream" }>): void {
    if (item.index < waiting.received) return;
    if (item.index === waiting.received) {
      waiting.received++;
      return waiting.sink.item(item.message, item.index);
    }
    this.#waiting.delete(item.id);
    waiting.sink.reject(gap(waiting.received));
    this.sendOrBury({ type: "cancel", to: waiting.at, from: this.endpoint, id: item.id });
  }
}

function gap(index: number): ActorError {
  return new ActorError("Terminated", `Stream lost an item on its way: ${index}`);
}
