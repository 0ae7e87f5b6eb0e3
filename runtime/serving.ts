import type { Cell } from "./cell.ts";
import { ActorError } from "./errors.ts";
import { Letter } from "./letter.ts";
import type { TerminationReason } from "./ref.ts";
import { RemoteReply, RemoteStream, type Sender } from "./remote_reply.ts";
import { sizeOf } from "./size.ts";
import type { MessageEnvelope } from "./transport/mod.ts";

/** Something done here for another lane, which it may cancel. */
interface Service {
  readonly from: string;
  /** Ends it for one that does not wait any more. */
  cancel(error: ActorError): void;
  /** Ends it for one that may still wait. */
  fail?(error: ActorError): void;
  grant?(total: number): void;
}

/** The asks, streams and watches that are served here for other lanes. */
export class ServingTable {
  readonly #services = new Map<string, Service>();
  readonly #sender: Sender;
  /** This node, as its endpoints begin. */
  readonly #node: string;

  constructor(sender: Sender) {
    this.#sender = sender;
    this.#node = sender.endpoint.slice(0, sender.endpoint.indexOf("/") + 1);
  }

  /** Puts a message into a mailbox; what is refused there fails the asker. */
  deliver(envelope: MessageEnvelope, cell: Cell): void {
    const letter = this.#open(envelope);
    try {
      if (!envelope.from.startsWith(this.#node)) cell.check(letter);
      cell.post(letter);
    } catch (error) {
      letter.reject(error as ActorError);
    }
  }

  watch(from: string, id: number, cell: Cell): void {
    const key = `${from}#${id}`;
    const cancel = cell.addWatcher((reason: TerminationReason) => {
      this.#services.delete(key);
      const { endpoint } = this.#sender;
      this.#sender.sendOrBury({ type: "down", to: from, from: endpoint, id, reason });
    });
    if (cell.isAlive) this.#services.set(key, { from, cancel });
  }

  cancel(from: string, id: number): void {
    const key = `${from}#${id}`;
    const service = this.#services.get(key);
    this.#services.delete(key);
    service?.cancel(new ActorError("Cancelled", "Request was cancelled"));
  }

  grant(from: string, id: number, total: number): void {
    this.#services.get(`${from}#${id}`)?.grant?.(total);
  }

  /** Ends all that is served for endpoints that match, and tells them: they may only seem dead. */
  down(matches: (endpoint: string) => boolean, why: string): void {
    const error = new ActorError("Terminated", why);
    for (const [key, service] of [...this.#services]) {
      if (!matches(service.from)) continue;
      this.#services.delete(key);
      if (service.fail) service.fail(error);
      else service.cancel(error);
    }
  }

  #open(envelope: MessageEnvelope): Letter {
    const { type, method, message, deadline } = envelope;
    const bytes = sizeOf(message);
    if (type === "tell") return new Letter(method, message, bytes, deadline, null, null);
    const { from, id } = envelope;
    const key = `${from}#${id}`;
    const done = () => this.#services.delete(key);
    const reply = type === "ask" ? new RemoteReply(this.#sender, from, id, done) : null;
    const stream = type === "stream"
      ? new RemoteStream(this.#sender, from, id, envelope.credits, done)
      : null;
    const letter = new Letter(method, message, bytes, deadline, reply, stream);
    letter.trace = envelope.trace;
    this.#services.set(key, {
      from,
      cancel: (error) => {
        if (reply) reply.abandoned = true;
        if (stream) stream.abandoned = true;
        letter.abort(error);
      },
      fail: (error) => letter.abort(error),
      grant: (total) => stream?.window.grant(total),
    });
    return letter;
  }
}
