import type { Clock } from "../clock.ts";
import { CodecError } from "../codec/mod.ts";
import type { DeadLetterReason } from "../dead_letters.ts";
import { ActorError } from "../errors.ts";
import type { Envelope, Link } from "./envelope.ts";
import { Inbox } from "./inbox.ts";
import { Outbox, type OutboxLimits } from "./outbox.ts";
import {
  decodeEnvelope,
  decodePacket,
  encodeMessage,
  encodePartHead,
  encodeSign,
  type Packet,
  type PacketHead,
  stamp,
} from "./packet.ts";
import { addressOf, inboundOf, senderOf, subjectOf } from "./subjects.ts";
import { isLost, type Loss } from "./loss.ts";
import type { Transport, TransportEvent } from "./transport.ts";

/** What a link tells its node. */
export interface LinkEvents {
  receive(envelope: Envelope): void;
  /** A packet that came and was dropped. */
  dropped(subject: string, reason: DeadLetterReason): void;
  /** A message that was not sent after all. */
  unsent(envelope: Envelope, reason: DeadLetterReason): void;
  /** A node is gone: it was seen in a new life, or takes nothing any more. */
  gone(node: string, why: string): void;
  /** This node was cut off: what it waited for or worked on for others may be lost. */
  cutOff(why: string): void;
  /** The transport does not let this node send to an address or endpoint. */
  refused(to: string): void;
  /** Something else that an operator should know of the transport. */
  warn(what: string): void;
}

/** How a transport link works. */
export interface TransportLinkOptions {
  readonly node: string;
  readonly clock: Clock;
  /** A number that grows from one life of the node to the next. */
  newIncarnation(): number;
  /** The most bytes of one message; 64 MiB by default. */
  readonly maxMessageBytes?: number;
  /** How large messages are kept from filling the memory of receivers, senders and the network. */
  readonly limits?: Partial<OutboxLimits>;
}

const defaultMaxMessageBytes = 64 * 2 ** 20;
const defaultLimits: OutboxLimits = {
  largeBytes: 64 * 2 ** 10,
  windowBytes: 4 * 2 ** 20,
  waitingBytes: 64 * 2 ** 20,
  probeMs: 500,
  probes: 20,
};

/** Nodes that are remembered at most: names cost memory, and anybody may make them up. */
const maxInboxes = 4096;

/** Messages of the largest size that may be half-way here at a time. */
const maxAssemblies = 4;

/**
 * Envelopes over a transport. Packets are numbered: what comes twice or late is dropped, so that delivery
 * stays at most once and in order whatever the transport does.
 */
export class TransportLink implements Link {
  readonly #transport: Transport;
  readonly #options: TransportLinkOptions;
  readonly #events: LinkEvents;
  readonly #maxMessageBytes: number;
  readonly #limits: OutboxLimits;
  readonly #outboxes = new Map<string, Outbox>();
  readonly #inboxes = new Map<string, Inbox>();
  readonly #leave: readonly (() => void)[];
  #incarnation: number;
  #sequence = 0;
  #assembledBytes = 0;

  constructor(transport: Transport, options: TransportLinkOptions, events: LinkEvents) {
    this.#transport = transport;
    this.#options = options;
    this.#events = events;
    this.#maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#incarnation = options.newIncarnation();
    this.#leave = [
      transport.subscribe(
        inboundOf(options.node),
        (subject, bytes) => this.#arrive(subject, bytes),
      ),
      transport.watch((event) => this.#follow(event)),
    ];
  }

  async close(): Promise<void> {
    for (const leave of this.#leave) leave();
    this.lost({ prefix: "", why: "Link was closed" });
    await this.#transport.close();
  }

  /** Gives up what waits for nodes that are gone, and what has half come from them. */
  lost(loss: Loss): void {
    for (const [node, outbox] of [...this.#outboxes]) {
      if (!isLost(loss, node)) continue;
      outbox.clear("Terminated");
      this.#outboxes.delete(node);
    }
    for (const [node, inbox] of this.#inboxes) if (isLost(loss, node)) this.#abandon(inbox);
  }

  // Outwards.

  send(envelope: Envelope): void {
    const { to } = envelope;
    const node = to.slice(0, to.indexOf("/"));
    const subject = subjectOf(this.#options.node, to);
    const message = encodeMessage(envelope, this.#maxMessageBytes);
    const known = this.#outboxes.get(node);
    const mustWait = known?.mustWait(envelope, message) ?? message.byteLength > this.#largeBytes;
    if (mustWait) (known ?? this.#openOutbox(node)).send(envelope, subject, message);
    else this.#publish(subject, "message", message);
  }

  /** Messages of more bytes go by an outbox. */
  get #largeBytes(): number {
    return Math.min(this.#limits.largeBytes, this.#transport.maxPayload);
  }

  /** Publishes a packet under the next number, which is used up even if it could not be sent. */
  #publish(subject: string, kind: Packet["kind"], packet: Uint8Array): number {
    const head = this.#nextHead();
    this.#transport.publish(subject, stamp(packet, kind, head));
    return head.sequence;
  }

  #nextHead(): PacketHead {
    return { incarnation: this.#incarnation, sequence: this.#sequence++ };
  }

  #openOutbox(node: string): Outbox {
    const limits = { ...this.#limits, largeBytes: this.#largeBytes };
    const outbox = new Outbox(limits, {
      clock: this.#options.clock,
      maxPayload: this.#transport.maxPayload,
      publishWhole: (subject, message) => this.#publish(subject, "message", message),
      publishPart: (subject, part) => {
        const head = this.#nextHead();
        const { message = head.sequence, offset, total, bytes } = part;
        const partHead = encodePartHead(head, { message, offset, total });
        this.#transport.publish(subject, partHead, bytes);
        return head.sequence;
      },
      probe: () => this.#greet(node),
      dropped: (envelope, reason) => this.#events.unsent(envelope, reason),
      lost: () => this.#events.gone(node, "it takes nothing any more"),
    });
    this.#outboxes.set(node, outbox);
    return outbox;
  }

  /** Gives a sign of life, which asks for one. */
  #greet(node: string): void {
    this.#sign(node, "hello", this.#nextHead());
  }

  /** Sends what may be lost. */
  #sign(node: string, kind: "hello" | "taken", head: PacketHead): void {
    try {
      const subject = subjectOf(this.#options.node, `${node}/main`);
      this.#transport.publish(subject, encodeSign(kind, head));
    } catch (thrown) {
      if (!(thrown instanceof ActorError)) throw thrown;
    }
  }

  // Inwards.

  #arrive(subject: string, bytes: Uint8Array): void {
    try {
      const source = senderOf(subject);
      const packet = decodePacket(bytes);
      if (packet.kind === "taken") return this.#taken(source, packet.head);
      const inbox = this.#admit(source, packet.head, bytes.length, subject);
      if (!inbox) return;
      const envelope = this.#envelopeOf(packet, inbox);
      if (inbox.isDue(packet.kind === "hello" ? 0 : this.#limits.windowBytes / 8)) {
        this.#sign(source, "taken", { incarnation: inbox.incarnation, sequence: inbox.last });
      }
      if (envelope) this.#receive(subject, source, envelope);
    } catch (thrown) {
      if (!(thrown instanceof CodecError)) throw thrown;
      this.#events.dropped(subject, "Malformed");
    }
  }

  #receive(subject: string, source: string, envelope: Envelope): void {
    const fits = subject === subjectOf(source, envelope.to) &&
      envelope.from.startsWith(`${source}/`);
    if (fits) this.#events.receive(envelope);
    else this.#events.dropped(subject, "Denied");
  }

  /** What the node has sent, if the packet is the newest of it. */
  #admit(source: string, head: PacketHead, bytes: number, subject: string): Inbox | null {
    const known = this.#inboxes.get(source);
    const inbox = known && known.incarnation >= head.incarnation
      ? known
      : this.#openInbox(source, head);
    const isOld = head.incarnation < inbox.incarnation;
    const refusal = isOld ? "Late" : inbox.admit(head, bytes);
    if (refusal === null) return inbox;
    this.#events.dropped(subject, refusal);
    return null;
  }

  #openInbox(source: string, { incarnation }: PacketHead): Inbox {
    const isAgain = this.#forget(source);
    if (this.#inboxes.size >= maxInboxes) this.#forget(this.#inboxes.keys().next().value!);
    const inbox = new Inbox(incarnation);
    this.#inboxes.set(source, inbox);
    if (isAgain) this.#events.gone(source, "it was restarted or cut off");
    return inbox;
  }

  #forget(source: string): boolean {
    const inbox = this.#inboxes.get(source);
    if (inbox) this.#abandon(inbox);
    return this.#inboxes.delete(source);
  }

  #abandon(inbox: Inbox): void {
    this.#assembledBytes -= inbox.assembledBytes;
    inbox.abandon();
  }

  #envelopeOf(packet: Packet, inbox: Inbox): Envelope | null {
    if (packet.kind === "message") return packet.envelope;
    if (packet.kind !== "part") return null;
    const before = inbox.assembledBytes;
    const atOnce = this.#assembledBytes + packet.bytes.length;
    const fits = packet.total <= this.#maxMessageBytes &&
      atOnce <= maxAssemblies * this.#maxMessageBytes;
    if (!fits) inbox.abandon();
    const message = fits ? inbox.join(packet) : null;
    this.#assembledBytes += inbox.assembledBytes - before;
    if (!fits) throw new CodecError("TooLarge", `Message is too large: ${packet.total}`);
    return message && decodeEnvelope(message);
  }

  #taken(source: string, { incarnation, sequence }: PacketHead): void {
    const outbox = incarnation === this.#incarnation ? this.#outboxes.get(source) : undefined;
    outbox?.taken(sequence);
    if (outbox?.isIdle) this.#outboxes.delete(source);
  }

  // The transport itself.

  #follow(event: TransportEvent): void {
    if (event.type === "up") this.#comeBack();
    else if (event.type === "down") this.#events.cutOff(event.why);
    else if (event.type === "refused") this.#refused(event);
    else if (event.type === "failed") this.#events.warn(event.error.message);
    else this.#events.warn("its server is about to stop");
  }

  /** After a cut nobody knows what was lost: a new life begins, and the others hear of it at once. */
  #comeBack(): void {
    this.#incarnation = Math.max(this.#incarnation + 1, this.#options.newIncarnation());
    for (const node of this.#inboxes.keys()) this.#greet(node);
  }

  #refused({ operation, subject }: Extract<TransportEvent, { readonly type: "refused" }>): void {
    const to = operation === "publish" ? addressOf(subject) : null;
    if (to === null) this.#events.warn(`it may not ${operation}: ${subject}`);
    else this.#events.refused(to);
  }
}
