import type { Clock } from "../../clock.ts";
import { CodecError } from "../../codec/mod.ts";
import type { DeadLetterReason } from "../../dead_letters.ts";
import type { Envelope } from "../envelope.ts";
import { Inbox } from "./inbox.ts";
import { isLost, type Loss } from "../loss.ts";
import {
  decodeEnvelope,
  decodePacket,
  type Packet,
  type PacketHead,
  type PartPacket,
  type Taken,
} from "./packet.ts";
import { senderOf, subjectOf } from "./subjects.ts";

type TakenPacket = Extract<Packet, { readonly kind: "taken" }>;

/** What a receiver needs of its link. */
export interface ReceiverOptions {
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  /** A sender is told what has come whenever so much has. */
  readonly tellBytes: number;
  /** How often a new sender is greeted until it answers. */
  readonly greetMs: number;
  receive(source: string, envelope: Envelope): void;
  dropped(subject: string, reason: DeadLetterReason): void;
  /** A node is heard for the first time in its present life; it may have been in another before. */
  met(node: string, isReborn: boolean): void;
  /** Asks a node what it has taken. */
  greet(node: string): void;
  /** Tells a node what was taken of it. */
  tell(node: string, inbox: Inbox): void;
  /** A node says what it has taken. Answers whether it means the present life of this one. */
  taken(node: string, taken: Taken): boolean;
}

/** Nodes that are remembered at most: names cost memory, and anybody may make them up. */
const maxInboxes = 4096;

/** Messages of the largest size that may be half-way here at a time. */
const maxAssemblies = 4;

/** What comes into a node: nothing twice, nothing late, nothing that would take all its memory. */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #inboxes = new Map<string, Inbox>();
  #assembledBytes = 0;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** The nodes that were heard. */
  get nodes(): string[] {
    return [...this.#inboxes.keys()];
  }

  /** Takes what came under a subject. */
  arrive(subject: string, bytes: Uint8Array): void {
    try {
      this.#take(subject, bytes);
    } catch (thrown) {
      if (!(thrown instanceof CodecError)) throw thrown;
      this.#options.dropped(subject, "Malformed");
    }
  }

  /** Gives up what has half come from nodes that are gone. */
  lost(loss: Loss): void {
    for (const [node, inbox] of this.#inboxes) if (isLost(loss, node)) this.#abandon(inbox);
  }

  /** Tells a node again what was missed of it, if anything was. */
  remind(node: string): void {
    const inbox = this.#inboxes.get(node);
    if (inbox?.hasGaps) this.#options.tell(node, inbox);
  }

  /** Begins a new life: what came before it does not count any more. */
  renew(): void {
    for (const inbox of this.#inboxes.values()) inbox.renew();
  }

  #take(subject: string, bytes: Uint8Array): void {
    const packet = decodePacket(bytes);
    const source = senderOf(subject);
    const inbox = this.#inboxOf(source, packet.head);
    const isOld = packet.head.incarnation < inbox.incarnation;
    if (isOld) return this.#options.dropped(subject, "Late");
    if (packet.kind === "taken") return this.#confirm(source, inbox, packet);
    const admission = inbox.admit(packet.head, bytes.length);
    if (admission !== "used") return this.#options.dropped(subject, admission);
    const isDue = inbox.isDue(packet.kind === "hello" ? 0 : this.#options.tellBytes);
    if (inbox.takeMissed() || isDue) this.#options.tell(source, inbox);
    if (packet.kind === "message") this.#receive(subject, source, packet.envelope);
    else if (packet.kind === "part") this.#join(subject, source, inbox, packet);
  }

  #receive(subject: string, source: string, envelope: Envelope): void {
    const fits = subject === subjectOf(source, envelope.to) &&
      envelope.from.startsWith(`${source}/`);
    if (fits) this.#options.receive(source, envelope);
    else this.#options.dropped(subject, "Denied");
  }

  #join(subject: string, source: string, inbox: Inbox, part: PartPacket): void {
    const before = inbox.assembledBytes;
    const { maxMessageBytes } = this.#options;
    const atOnce = this.#assembledBytes + part.bytes.length;
    const fits = part.total <= maxMessageBytes && atOnce <= maxAssemblies * maxMessageBytes;
    if (!fits) inbox.abandon();
    const message = fits ? inbox.join(part) : null;
    this.#assembledBytes += inbox.assembledBytes - before;
    if (!fits) throw new CodecError("TooLarge", `Message is too large: ${part.total}`);
    if (message) this.#receive(subject, source, decodeEnvelope(message));
  }

  // Lives of other nodes.

  /** What comes from this or a later life of a node; a new life is greeted until it has answered. */
  #inboxOf(source: string, { incarnation }: PacketHead): Inbox {
    const known = this.#inboxes.get(source);
    const inbox = known && known.incarnation >= incarnation
      ? known
      : this.#open(source, incarnation);
    if (!inbox.isConfirmed) this.#greet(source, inbox);
    return inbox;
  }

  #greet(source: string, inbox: Inbox): void {
    const now = this.#options.clock.now();
    if (now - inbox.greetedAt < this.#options.greetMs) return;
    inbox.greetedAt = now;
    this.#options.greet(source);
  }

  #open(source: string, incarnation: number): Inbox {
    const isAgain = this.#forget(source);
    if (this.#inboxes.size >= maxInboxes) this.#forget(this.#inboxes.keys().next().value!);
    const inbox = new Inbox(incarnation);
    this.#inboxes.set(source, inbox);
    this.#options.met(source, isAgain);
    return inbox;
  }

  #confirm(source: string, inbox: Inbox, { head, taken }: TakenPacket): void {
    if (!this.#options.taken(source, taken)) return;
    const isFirst = !inbox.isConfirmed;
    inbox.confirm(head, taken);
    if (inbox.takeMissed() || isFirst) this.#options.tell(source, inbox);
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
}
