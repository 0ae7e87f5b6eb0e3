import type { Clock } from "../../clock.ts";
import type { DeadLetterReason } from "../../dead_letters.ts";
import { ActorError } from "../../errors.ts";
import type { Envelope } from "../envelope.ts";
import { isLost, type Loss } from "../loss.ts";
import type { Transport } from "../transport.ts";
import type { Inbox } from "./inbox.ts";
import { Outbox, type OutboxLimits, type OutboxPart } from "./outbox.ts";
import {
  encodeHello,
  encodeMessage,
  encodePartHead,
  encodeTaken,
  stamp,
  type Taken,
} from "./packet.ts";
import { isRequest, PendingRequests, type RequestHead } from "./pending.ts";
import { remember, type Sent, SentLog } from "./sent_log.ts";
import { subjectOf } from "./subjects.ts";

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
  /** A node has long owed an answer. */
  owes(node: string): void;
}

/** What a node has not got of what was sent to it. */
export interface Missed {
  /** Requests that went to a former life of it. */
  readonly formerly: readonly RequestHead[];
  /** What was lost on its way; null if something was that is not remembered. */
  readonly lost: readonly Sent[] | null;
}

/** The packets to one node, numbered. */
interface Numbers {
  /** The number of the next one. */
  next: number;
  /** That of the first one to the present life of the node. */
  base: number;
  /** Those that may yet turn out to be lost. */
  log: SentLog;
}

/** Nodes that are sent to at most: names cost memory, and whoever asks is answered. */
const maxNumbers = 65_536;

/** What goes out of a node: everything has a number, and large messages go as they are taken. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #outboxes = new Map<string, Outbox>();
  readonly #pending = new Map<string, PendingRequests>();
  readonly #numbers = new Map<string, Numbers>();
  #incarnation: number;
  #cancelProbes: (() => void) | null = null;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#incarnation = options.newIncarnation();
  }

  /** Sends, or throws `ActorError`. */
  send(envelope: Envelope): void {
    const { to, type } = envelope;
    const node = to.slice(0, to.indexOf("/"));
    if (type === "cancel") this.#pending.get(node)?.settle(envelope.from, envelope.id);
    const subject = subjectOf(this.#options.node, to);
    const message = encodeMessage(envelope, this.#options.maxMessageBytes);
    const known = this.#outboxes.get(node);
    const mustWait = known?.mustWait(envelope, message) ?? message.byteLength > this.#largeBytes;
    if (mustWait) (known ?? this.#openOutbox(node)).send(envelope, subject, message);
    else this.#publish(node, envelope, subject, message);
  }

  /** Gives a sign of life, which is answered with what was taken. */
  greet(node: string, token?: string): void {
    quietly(() => {
      const { transport } = this.#options;
      const subject = this.#subjectOf(node);
      const numbers = this.#numbersOf(node);
      const hello = encodeHello({ incarnation: this.#incarnation, sequence: numbers.next });
      if (token === undefined) transport.publish(subject, hello);
      else transport.probe(subject, token, hello);
      numbers.next++;
    });
  }

  /** Tells a node what was taken of it. */
  tell(node: string, inbox: Inbox): void {
    quietly(() => {
      const { next, base } = this.#numbersOf(node);
      const head = { incarnation: this.#incarnation, sequence: next - 1 };
      const packet = encodeTaken(head, inbox.taken(base));
      this.#options.transport.publish(this.#subjectOf(node), packet);
    });
  }

  /** Notes that a node is heard in a new life. */
  met(node: string): void {
    const numbers = this.#numbers.get(node);
    if (numbers) numbers.base = numbers.next;
  }

  /** Notes what a node has taken, and answers what it has not; null if that is of a former life. */
  taken(node: string, { of, upTo, since, gaps }: Taken): Missed | null {
    if (of !== this.#incarnation) return null;
    const outbox = this.#outboxes.get(node);
    outbox?.taken(upTo);
    if (outbox?.isIdle) this.#outboxes.delete(node);
    const formerly = this.#pending.get(node)?.takeBefore(since) ?? [];
    const numbers = this.#numbers.get(node);
    return { formerly, lost: numbers ? numbers.log.settle(upTo, gaps) : [] };
  }

  /** Notes that a request to a node waits no more, and answers whether it did. */
  settle(node: string, asker: string, id: number): boolean {
    const pending = this.#pending.get(node);
    const wasThere = pending?.settle(asker, id) ?? false;
    if (pending?.isEmpty) this.#pending.delete(node);
    return wasThere;
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
    for (const { log, next } of this.#numbers.values()) log.renew(next);
    this.#incarnation = Math.max(this.#incarnation + 1, this.#options.newIncarnation());
  }

  /** Messages of more bytes go by an outbox. */
  get #largeBytes(): number {
    return Math.min(this.#options.limits.largeBytes, this.#options.transport.maxPayload);
  }

  #numbersOf(node: string): Numbers {
    let numbers = this.#numbers.get(node);
    if (!numbers) {
      if (this.#numbers.size >= maxNumbers) {
        throw new ActorError("Overloaded", `Cannot send to more nodes than: ${maxNumbers}`);
      }
      this.#numbers.set(node, numbers = { next: 0, base: 0, log: new SentLog() });
    }
    return numbers;
  }

  #subjectOf(node: string): string {
    return subjectOf(this.#options.node, `${node}/main`);
  }

  /** Publishes a message under the next number, which is used up only if it could be sent. */
  #publish(node: string, envelope: Envelope, subject: string, message: Uint8Array): number {
    const numbers = this.#numbersOf(node);
    const head = { incarnation: this.#incarnation, sequence: numbers.next };
    this.#options.transport.publish(subject, stamp(message, "message", head));
    numbers.log.add(head.sequence, remember(envelope));
    this.#began(node, envelope, head.sequence);
    return numbers.next++;
  }

  #publishPart(node: string, sent: Sent, subject: string, part: OutboxPart): number {
    const numbers = this.#numbersOf(node);
    const head = { incarnation: this.#incarnation, sequence: numbers.next };
    const { message = head.sequence, offset, total, bytes } = part;
    const partHead = encodePartHead(head, { message, offset, total });
    this.#options.transport.publish(subject, partHead, bytes);
    numbers.log.add(head.sequence, sent);
    return numbers.next++;
  }

  #began(node: string, envelope: Envelope, sequence: number): void {
    if (!isRequest(envelope)) return;
    let pending = this.#pending.get(node);
    if (!pending) this.#pending.set(node, pending = new PendingRequests());
    pending.sent(envelope, sequence);
    this.#probe();
  }

  /** Asks nodes, as long as they owe answers, for a sign of life, which tells of all that was lost. */
  #probe(): void {
    if (this.#cancelProbes || this.#pending.size === 0) return;
    this.#cancelProbes = this.#options.clock.setTimer(this.#options.limits.probeMs / 2, () => {
      this.#cancelProbes = null;
      for (const node of this.#pending.keys()) {
        this.greet(node, subjectOf(node, `${this.#options.node}/main`));
        this.#options.owes(node);
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
      publishWhole: (item) => this.#publish(node, item.envelope, item.subject, item.message),
      publishPart: (item, part) => {
        const sequence = this.#publishPart(node, item.sent, item.subject, part);
        if (part.message === undefined) this.#began(node, item.envelope, sequence);
        return sequence;
      },
      probe: () => this.greet(node),
      dropped: unsent,
      lost: () => stuck(node),
    });
    this.#outboxes.set(node, outbox);
    return outbox;
  }
}

/** Sends what may as well be lost. */
function quietly(send: () => void): void {
  try {
    send();
  } catch (thrown) {
    if (!(thrown instanceof ActorError)) throw thrown;
  }
}
