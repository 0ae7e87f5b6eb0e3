import type { Clock } from "../../clock.ts";
import type { DeadLetterReason } from "../../dead_letters.ts";
import { ActorError } from "../../errors.ts";
import type { AnswerEnvelope, Envelope } from "../envelope.ts";
import { isLost, type Loss } from "../loss.ts";
import { Outbox, type OutboxLimits } from "./outbox.ts";
import {
  encodeMessage,
  encodePartHead,
  encodeSign,
  encodeTaken,
  type PacketHead,
  stamp,
  type Taken,
} from "./packet.ts";
import { isRequest, PendingRequests } from "./pending.ts";
import { subjectOf } from "./subjects.ts";
import type { Transport } from "../transport.ts";

/** What a sender needs of its link. */
export interface SenderOptions {
  readonly node: string;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly maxMessageBytes: number;
  readonly limits: OutboxLimits;
  /** A number that grows from one life of the node to the next. */
  newIncarnation(): number;
  /** A message that was not sent after all. */
  unsent(envelope: Envelope, reason: DeadLetterReason): void;
  /** A node takes nothing any more. */
  stuck(node: string): void;
}

/** What goes out of a node: everything has a number, and large messages go as they are taken. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #outboxes = new Map<string, Outbox>();
  readonly #pending = new Map<string, PendingRequests>();
  #incarnation: number;
  #sequence = 0;
  #cancelProbes: (() => void) | null = null;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#incarnation = options.newIncarnation();
  }

  /** Sends, or throws `ActorError`. */
  send(envelope: Envelope): void {
    const { to, type } = envelope;
    const node = to.slice(0, to.indexOf("/"));
    if (type === "cancel") this.#pending.get(node)?.cancelled(envelope.from, envelope.id);
    const subject = subjectOf(this.#options.node, to);
    const message = encodeMessage(envelope, this.#options.maxMessageBytes);
    const known = this.#outboxes.get(node);
    const mustWait = known?.mustWait(envelope, message) ?? message.byteLength > this.#largeBytes;
    if (mustWait) (known ?? this.#openOutbox(node)).send(envelope, subject, message);
    else this.#sent(node, envelope, this.#publish(subject, message));
  }

  /** Gives a sign of life, which is answered with what was taken. */
  greet(node: string): void {
    this.#sign(node, encodeSign("hello", this.#nextHead()));
  }

  /** Tells a node what was taken of it. */
  tell(node: string, taken: Taken): void {
    this.#sign(node, encodeTaken({ incarnation: this.#incarnation, sequence: 0 }, taken));
  }

  /**
   * Notes what a node has taken. What was sent before the first of it went to a former life of the node:
   * the answers that say so.
   */
  taken(node: string, { of, upTo, since }: Taken, why: string): AnswerEnvelope[] {
    if (of !== this.#incarnation) return [];
    const outbox = this.#outboxes.get(node);
    outbox?.taken(upTo);
    if (outbox?.isIdle) this.#outboxes.delete(node);
    return this.#pending.get(node)?.lostBefore(since, why).toArray() ?? [];
  }

  /** Notes an answer that came from a node. */
  answered(node: string, answer: AnswerEnvelope): void {
    const pending = this.#pending.get(node);
    pending?.answered(answer);
    if (pending?.isEmpty) this.#pending.delete(node);
  }

  /** Sends nothing by itself any more. */
  close(): void {
    this.#cancelProbes?.();
    this.#pending.clear();
  }

  /** Gives up what waits for nodes that are gone. */
  lost(loss: Loss): void {
    for (const [node, outbox] of [...this.#outboxes]) {
      if (!isLost(loss, node)) continue;
      outbox.clear("Terminated");
      this.#outboxes.delete(node);
    }
    for (const node of [...this.#pending.keys()]) {
      if (isLost(loss, node)) this.#pending.delete(node);
    }
  }

  /** Begins a new life. */
  renew(): void {
    this.#incarnation = Math.max(this.#incarnation + 1, this.#options.newIncarnation());
  }

  /** Messages of more bytes go by an outbox. */
  get #largeBytes(): number {
    return Math.min(this.#options.limits.largeBytes, this.#options.transport.maxPayload);
  }

  #nextHead(): PacketHead {
    return { incarnation: this.#incarnation, sequence: this.#sequence++ };
  }

  /** Publishes a message under the next number, which is used up even if it could not be sent. */
  #publish(subject: string, message: Uint8Array): number {
    const head = this.#nextHead();
    this.#options.transport.publish(subject, stamp(message, "message", head));
    return head.sequence;
  }

  #sent(node: string, envelope: Envelope, sequence: number): void {
    if (!isRequest(envelope)) return;
    let pending = this.#pending.get(node);
    if (!pending) this.#pending.set(node, pending = new PendingRequests());
    pending.sent(envelope, sequence);
    this.#probe();
  }

  /** Asks the network, as long as nodes owe answers, whether they are still connected to it. */
  #probe(): void {
    if (this.#cancelProbes || this.#pending.size === 0) return;
    this.#cancelProbes = this.#options.clock.setTimer(this.#options.limits.probeMs / 2, () => {
      this.#cancelProbes = null;
      for (const node of this.#pending.keys()) {
        this.#sign(
          node,
          encodeSign("probe", this.#nextHead()),
          subjectOf(node, `${this.#options.node}/main`),
        );
      }
      this.#probe();
    });
  }

  #openOutbox(node: string): Outbox {
    const { clock, transport, unsent, stuck } = this.#options;
    const limits = { ...this.#options.limits, largeBytes: this.#largeBytes };
    const outbox = new Outbox(limits, {
      clock,
      maxPayload: transport.maxPayload,
      publishWhole: (subject, message) => this.#publish(subject, message),
      publishPart: (subject, part) => {
        const head = this.#nextHead();
        const { message = head.sequence, offset, total, bytes } = part;
        transport.publish(subject, encodePartHead(head, { message, offset, total }), bytes);
        return head.sequence;
      },
      began: (envelope, sequence) => this.#sent(node, envelope, sequence),
      probe: () => this.greet(node),
      dropped: unsent,
      lost: () => stuck(node),
    });
    this.#outboxes.set(node, outbox);
    return outbox;
  }

  /** Sends what may be lost. */
  #sign(node: string, packet: Uint8Array, token?: string): void {
    const { transport, node: self } = this.#options;
    const subject = subjectOf(self, `${node}/main`);
    try {
      if (token === undefined) transport.publish(subject, packet);
      else transport.probe(subject, token, packet);
    } catch (thrown) {
      if (!(thrown instanceof ActorError)) throw thrown;
    }
  }
}
