import type { Cell } from "./cell.ts";
import type { Clock } from "./clock.ts";
import type { DeadLetterReason, DeadLetters } from "./dead_letters.ts";
import { ActorError, errorToWire, toActorError } from "./errors.ts";
import type { Movable, TerminationReason } from "./ref.ts";
import type { Sender } from "./remote_reply.ts";
import type { Rng } from "./rng.ts";
import { ServingTable } from "./serving.ts";
import {
  type AnswerEnvelope,
  endpointOf,
  type Envelope,
  isLost,
  type Link,
  type Loss,
  type MessageEnvelope,
} from "./transport/mod.ts";
import { type Waiting, WaitingTable } from "./waiting.ts";

/** What an exchange needs of the system. */
export interface ExchangeHost {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly deadLetters: DeadLetters;
  find(address: string): Cell | undefined;
}

/** Where lanes meet: sends what leaves this isolate and receives what comes in. */
export class Exchange implements Sender {
  /** This isolate: `node/lane`. */
  readonly endpoint: string;
  readonly #node: string;
  readonly #isMain: boolean;
  readonly #host: ExchangeHost;
  readonly #links = new Map<string, Link>();
  #elsewhere: Link | null = null;
  readonly #waiting: WaitingTable;
  readonly #serving: ServingTable;

  constructor(endpoint: string, host: ExchangeHost) {
    this.endpoint = endpoint;
    this.#node = endpoint.slice(0, endpoint.indexOf("/") + 1);
    this.#isMain = endpoint === `${this.#node}main`;
    this.#serving = new ServingTable(this);
    this.#host = host;
    // A random start: an answer that was meant for a former life of this node finds nobody.
    this.#waiting = new WaitingTable(host.rng.integer(2 ** 50));
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

  /** Forgets endpoints that are gone: fails what waits for them, cancels what is done for them. */
  lost(loss: Loss): void {
    const matches = (endpoint: string) => isLost(loss, endpoint);
    this.#serving.down(matches, loss.why);
    if (loss.onlyServed) return;
    for (const endpoint of [...this.#links.keys()]) {
      if (matches(endpoint)) this.#links.delete(endpoint);
    }
    const error = new ActorError("Terminated", loss.why);
    this.#waiting.fail((address) => matches(endpointOf(address)), error);
    this.#elsewhere?.lost?.(loss);
  }

  /** Fails what waits for an address that nothing may be sent to. */
  refused(to: string): void {
    const error = new ActorError("Denied", `Not allowed to send to: ${to}`);
    this.#waiting.fail((address) => address === to, error);
  }

  async close(): Promise<void> {
    this.lost({ prefix: "", why: "System was shut down" });
    await this.#elsewhere?.close();
  }

  // Outwards.

  /** Registers one that waits for another lane, and answers its number. */
  expect(waiting: Waiting): number {
    return this.#waiting.add(waiting);
  }

  /** Nobody waits any more. */
  forget(id: number): void {
    this.#waiting.remove(id);
  }

  /** Watches an actor of any lane. The answer stops watching. */
  watch(address: string, callback: (reason: TerminationReason) => void): () => void {
    const at = endpointOf(address);
    if (at === this.endpoint) return this.#watchHere(address, callback);
    const id = this.expect({ type: "watch", from: address, callback });
    const from = this.endpoint;
    try {
      this.send({ type: "watch", to: address, from, id });
    } catch (thrown) {
      this.forget(id);
      callback({ type: "Lost", message: toActorError(thrown).message });
    }
    return () => {
      if (this.#waiting.remove(id)) this.sendOrBury({ type: "cancel", to: at, from, id });
    };
  }

  #watchHere(address: string, callback: (reason: TerminationReason) => void): () => void {
    const cell = this.#host.find(address);
    if (cell) return cell.addWatcher(callback);
    callback({ type: "Lost", message: `No such actor: ${address}` });
    return () => {};
  }

  /** Sends, or throws `ActorError`. */
  send(envelope: Envelope, transfer?: readonly Movable[]): void {
    const endpoint = endpointOf(envelope.to);
    if (endpoint === this.endpoint) return this.receive(envelope);
    const link = this.#links.get(endpoint) ?? this.#linkElsewhere(endpoint);
    if (!link) throw new ActorError("NoRoute", `No route to: ${endpoint}`);
    link.send(envelope, transfer);
  }

  /** Sends what nobody waits for: a failure ends as a dead letter. */
  sendOrBury(envelope: Envelope): void {
    try {
      this.send(envelope);
    } catch (thrown) {
      this.bury(envelope, toActorError(thrown).code);
    }
  }

  /** The main isolate knows all lanes of its node: what it does not know is not there. */
  #linkElsewhere(endpoint: string): Link | null {
    return this.#isMain && endpoint.startsWith(this.#node) ? null : this.#elsewhere;
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
        return this.#serveWatch(envelope);
      case "cancel":
        return this.#serving.cancel(envelope.from, envelope.id);
      case "credit":
        return this.#serving.grant(envelope.from, envelope.id, envelope.granted);
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

  #deliver(envelope: MessageEnvelope): void {
    const cell = this.#host.find(envelope.to);
    if (cell) return this.#serving.deliver(envelope, cell);
    this.#refuse(envelope, new ActorError("NoRoute", `No such actor: ${envelope.to}`));
  }

  #serveWatch(envelope: Extract<Envelope, { readonly type: "watch" }>): void {
    const cell = this.#host.find(envelope.to);
    if (cell) return this.#serving.watch(envelope.from, envelope.id, cell);
    this.#refuse(envelope, new ActorError("NoRoute", `No such actor: ${envelope.to}`));
  }

  /** Tells who asked, if anybody did; every message that is refused is a dead letter. */
  #refuse(envelope: Envelope, error: ActorError): void {
    const asked = endpointOf(envelope.to);
    if (envelope.type === "watch") {
      const { from, id } = envelope;
      const reason = { type: "Lost", message: error.message } as const;
      return this.sendOrBury({ type: "down", to: from, from: asked, id, reason });
    }
    this.bury(envelope, error.code);
    if (envelope.type !== "ask" && envelope.type !== "stream") return;
    const { from, id } = envelope;
    this.sendOrBury({ type: "fail", to: from, from: asked, id, error: errorToWire(error) });
  }

  /** Adds an envelope that reached nobody to the dead letters. */
  bury(envelope: Envelope, reason: DeadLetterReason): void {
    const method = "method" in envelope ? envelope.method : envelope.type;
    const message = "message" in envelope ? { message: envelope.message } : {};
    this.#host.deadLetters.add({ to: envelope.to, method, reason, ...message });
  }

  #answer(envelope: AnswerEnvelope): void {
    const { id, to, from, type } = envelope;
    const outcome = this.#waiting.answer(envelope, this.#host.clock.now());
    if (outcome === "unexpected") this.#host.deadLetters.add({ to, method: type, reason: "Late" });
    if (outcome === "denied") this.#host.deadLetters.add({ to, method: type, reason: "Denied" });
    // An item that nobody waits for comes from one that went on after it was given up.
    const isStray = outcome === "unexpected" && type === "item";
    if (outcome !== "broken" && !isStray) return;
    this.sendOrBury({ type: "cancel", to: from, from: this.endpoint, id });
  }
}
