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
import { Peer } from "./peer.ts";
import type { RequestHead } from "./pending.ts";
import { remember, type Sent } from "./sent_log.ts";
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

/** Nodes that are sent to at most: names cost memory, and whoever asks is answered. */
const maxPeers = 65_536;

/** What goes out of a node: everything has a number, and large messages go as they are taken. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #peers = new Map<string, Peer>();
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
    const peer = this.#peerOf(node);
    if (type === "cancel") peer.pending.settle(envelope.from, envelope.id);
    const subject = subjectOf(this.#options.node, to);
    const message = encodeMessage(envelope, this.#options.maxMessageBytes);
    const mustWait = peer.outbox?.mustWait(envelope, message) ??
      message.byteLength > this.#largeBytes;
    if (mustWait) this.#outboxOf(node, peer).send(envelope, subject, message);
    else this.#publish(peer, remember(envelope), subject, message);
  }

  /** Gives a sign of life, which is answered with what was taken. */
  greet(node: string, token?: string): void {
    quietly(() => {
      const { transport } = this.#options;
      const peer = this.#peerOf(node);
      const hello = encodeHello({ incarnation: this.#incarnation, sequence: peer.next });
      if (token === undefined) transport.publish(this.#subjectOf(node), hello);
      else transport.probe(this.#subjectOf(node), token, hello);
      peer.log.add(null);
    });
  }

  /** Tells a node what was taken of it. */
  tell(node: string, inbox: Inbox): void {
    quietly(() => {
      const { next, base } = this.#peerOf(node);
      const head = { incarnation: this.#incarnation, sequence: next - 1 };
      const packet = encodeTaken(head, inbox.taken(base));
      this.#options.transport.publish(this.#subjectOf(node), packet);
    });
  }

  /** Notes that a node is heard in a new life. */
  met(node: string): void {
    const peer = this.#peers.get(node);
    if (peer) peer.base = peer.next;
  }

  /** Notes what a node has taken, and answers what it has not; null if that is of a former life. */
  taken(node: string, { of, upTo, since, gaps }: Taken): Missed | null {
    if (of !== this.#incarnation) return null;
    const peer = this.#peers.get(node);
    if (!peer) return { formerly: [], lost: [] };
    peer.outbox?.taken(upTo);
    if (peer.outbox?.isIdle) peer.outbox = null;
    return { formerly: peer.pending.takeBefore(since), lost: peer.log.settle(upTo, gaps) };
  }

  /** Notes that a request to a node waits no more, and answers whether it did. */
  settle(node: string, asker: string, id: number): boolean {
    return this.#peers.get(node)?.pending.settle(asker, id) ?? false;
  }

  /** Gives up what waits for nodes that are gone. */
  lost(loss: Loss): void {
    for (const [node, peer] of this.#peers) {
      if (!isLost(loss, node)) continue;
      peer.outbox?.clear("Terminated");
      peer.outbox = null;
      peer.pending.clear();
    }
  }

  /** Begins a new life. */
  renew(): void {
    for (const { log } of this.#peers.values()) log.renew();
    this.#incarnation = Math.max(this.#incarnation + 1, this.#options.newIncarnation());
  }

  /** Sends nothing by itself any more. */
  close(): void {
    this.#cancelProbes?.();
    this.#peers.clear();
  }

  /** Messages of more bytes go by an outbox. */
  get #largeBytes(): number {
    return Math.min(this.#options.limits.largeBytes, this.#options.transport.maxPayload);
  }

  #subjectOf(node: string): string {
    return subjectOf(this.#options.node, `${node}/main`);
  }

  #peerOf(node: string): Peer {
    let peer = this.#peers.get(node);
    if (peer) return peer;
    if (this.#peers.size >= maxPeers) {
      throw new ActorError("Overloaded", `Cannot send to more nodes than: ${maxPeers}`);
    }
    this.#peers.set(node, peer = new Peer());
    return peer;
  }

  /** Publishes a message under the next number, which is used up only if it could be sent. */
  #publish(peer: Peer, sent: Sent, subject: string, message: Uint8Array): number {
    const sequence = peer.next;
    const head = { incarnation: this.#incarnation, sequence };
    this.#options.transport.publish(subject, stamp(message, "message", head));
    this.#began(peer, sent, sequence);
    peer.log.add(sent);
    return sequence;
  }

  #publishPart(peer: Peer, sent: Sent, subject: string, part: OutboxPart): number {
    const sequence = peer.next;
    const head = { incarnation: this.#incarnation, sequence };
    const { message = sequence, offset, total, bytes } = part;
    const partHead = encodePartHead(head, { message, offset, total });
    this.#options.transport.publish(subject, partHead, bytes);
    if (offset === 0) this.#began(peer, sent, sequence);
    peer.log.add(sent);
    return sequence;
  }

  #began(peer: Peer, sent: Sent, sequence: number): void {
    if (sent.kind !== "request") return;
    peer.pending.sent(sent.head, sequence);
    this.#probe();
  }

  /** Asks nodes, as long as they owe answers, for a sign of life, which tells of all that was lost. */
  #probe(): void {
    this.#cancelProbes ??= this.#options.clock.setTimer(this.#options.limits.probeMs / 2, () => {
      this.#cancelProbes = null;
      for (const [node, { pending }] of this.#peers) {
        if (pending.isEmpty) continue;
        this.greet(node, subjectOf(node, `${this.#options.node}/main`));
        this.#options.owes(node);
        this.#probe();
      }
    });
  }

  #outboxOf(node: string, peer: Peer): Outbox {
    const { clock, transport, unsent, stuck } = this.#options;
    const limits = { ...this.#options.limits, largeBytes: this.#largeBytes };
    return peer.outbox ??= new Outbox(limits, {
      clock,
      maxPayload: transport.maxPayload,
      publishWhole: (item) => this.#publish(peer, item.sent, item.subject, item.message),
      publishPart: (item, part) => this.#publishPart(peer, item.sent, item.subject, part),
      probe: () => this.greet(node),
      dropped: unsent,
      lost: () => stuck(node),
    });
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
