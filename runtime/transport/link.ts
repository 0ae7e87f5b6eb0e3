import { CodecError } from "../codec/mod.ts";
import type { DeadLetterReason } from "../dead_letters.ts";
import { ActorError } from "../errors.ts";
import type { Envelope, Link } from "./envelope.ts";
import {
  decodePacket,
  encodeEnvelope,
  encodeHello,
  encodeParts,
  type Packet,
  type PacketHead,
} from "./packet.ts";
import { addressOf, inboundOf, senderOf, subjectOf } from "./subjects.ts";
import type { Transport, TransportEvent } from "./transport.ts";

/** What a link tells its node. */
export interface LinkEvents {
  receive(envelope: Envelope): void;
  /** A packet that was dropped. */
  dropped(subject: string, reason: DeadLetterReason): void;
  /** A node was seen in a new life: the former one is gone, or was cut off for a while. */
  restarted(node: string): void;
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
  /** A number that grows from one life of the node to the next. */
  newIncarnation(): number;
  /** The most bytes of one message, whole; 64 MiB by default. */
  readonly maxMessageBytes?: number;
}

/** What is known of another node: how far it has come, and the message it is in the middle of. */
interface Peer {
  incarnation: number;
  last: number;
  parts: Uint8Array[];
  bytes: number;
}

const defaultMaxMessageBytes = 64 * 2 ** 20;

/**
 * Envelopes over a transport. Packets are numbered per pair of nodes: what comes twice or late is
 * dropped, so that delivery stays at most once and in order whatever the transport does.
 *
 * The subject is `tandem.<to node>.<from node>.<lane>[.<kind>.<id>]`, and what it says of sender and
 * receiver must hold for what is in the packet. So a server that restricts the subjects on which a
 * node may publish restricts as whom, and to which kinds of actors, the node can speak.
 */
export class TransportLink implements Link {
  readonly #transport: Transport;
  readonly #events: LinkEvents;
  readonly #options: TransportLinkOptions;
  readonly #maxMessageBytes: number;
  readonly #sent = new Map<string, number>();
  readonly #peers = new Map<string, Peer>();
  readonly #leave: readonly (() => void)[];
  #incarnation: number;

  constructor(transport: Transport, options: TransportLinkOptions, events: LinkEvents) {
    this.#transport = transport;
    this.#options = options;
    this.#events = events;
    this.#maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes;
    this.#incarnation = options.newIncarnation();
    this.#leave = [
      transport.subscribe(
        inboundOf(options.node),
        (subject, bytes) => this.#arrive(subject, bytes),
      ),
      transport.watch((event) => this.#follow(event)),
    ];
  }

  send(envelope: Envelope): void {
    const subject = subjectOf(this.#options.node, envelope.to);
    const to = envelope.to.slice(0, envelope.to.indexOf("/"));
    const head = this.#headFor(to);
    const frame = encodeEnvelope(head, envelope);
    if (frame.byteLength > this.#maxMessageBytes) {
      const limit = this.#maxMessageBytes;
      throw new ActorError("TooLarge", `Message exceeds ${limit} bytes: ${frame.byteLength}`);
    }
    this.#publish(subject, to, head, frame);
  }

  async close(): Promise<void> {
    for (const leave of this.#leave) leave();
    await this.#transport.close();
  }

  #headFor(to: string): PacketHead {
    const sequence = this.#sent.get(to) ?? 0;
    return { source: this.#options.node, incarnation: this.#incarnation, sequence };
  }

  /** Publishes whole or in parts. */
  #publish(subject: string, to: string, head: PacketHead, frame: Uint8Array): void {
    const { maxPayload } = this.#transport;
    const isWhole = frame.byteLength <= maxPayload;
    const packets = isWhole ? [frame] : encodeParts(head, frame, maxPayload);
    for (const packet of packets) this.#send(subject, to, packet);
  }

  /** Publishes one packet; its number is used up even if it could not be sent. */
  #send(subject: string, to: string, packet: Uint8Array): void {
    this.#sent.set(to, (this.#sent.get(to) ?? 0) + 1);
    this.#transport.publish(subject, packet);
  }

  #arrive(subject: string, bytes: Uint8Array): void {
    try {
      const packet = decodePacket(bytes);
      const { source } = packet.head;
      if (senderOf(subject) !== source) return this.#events.dropped(subject, "Denied");
      const peer = this.#admit(packet.head, subject);
      if (!peer || "hello" in packet) return;
      const envelope = "envelope" in packet ? packet.envelope : this.#join(peer, packet);
      if (!envelope) return;
      const fits = subject === subjectOf(source, envelope.to) &&
        envelope.from.startsWith(`${source}/`);
      if (fits) this.#events.receive(envelope);
      else this.#events.dropped(subject, "Denied");
    } catch (thrown) {
      if (!(thrown instanceof CodecError)) throw thrown;
      this.#events.dropped(subject, "Malformed");
    }
  }

  /** The sender, if the packet is the newest of it. */
  #admit({ source, incarnation, sequence }: PacketHead, subject: string): Peer | null {
    const known = this.#peers.get(source);
    if (!known || incarnation > known.incarnation) {
      const peer = { incarnation, last: sequence, parts: [], bytes: 0 };
      this.#peers.set(source, peer);
      if (known) this.#events.restarted(source);
      return peer;
    }
    if (incarnation < known.incarnation || sequence <= known.last) {
      this.#events.dropped(subject, sequence === known.last ? "Duplicate" : "Late");
      return null;
    }
    if (sequence !== known.last + 1) this.#abandon(known, subject);
    known.last = sequence;
    return known;
  }

  /** Adds a part and answers the envelope when it was the last one. */
  #join(peer: Peer, packet: Extract<Packet, { readonly part: number }>): Envelope | null {
    const { part, of, bytes } = packet;
    if (part !== peer.parts.length) return null;
    peer.bytes += bytes.byteLength;
    if (peer.bytes > this.#maxMessageBytes) {
      throw new CodecError("TooLarge", "Message is too large");
    }
    peer.parts.push(bytes);
    if (part + 1 < of) return null;
    const whole = joined(peer.parts, peer.bytes);
    peer.parts = [];
    peer.bytes = 0;
    const inner = decodePacket(whole);
    return "envelope" in inner ? inner.envelope : null;
  }

  #follow(event: TransportEvent): void {
    if (event.type === "up") this.#comeBack();
    else if (event.type === "down") this.#events.cutOff(event.why);
    else if (event.type === "refused") this.#refused(event);
    else if (event.type === "failed") this.#events.warn(event.error.message);
    else this.#events.warn("its server is about to stop");
  }

  /** After a cut nobody knows what was lost: a new life begins, and the others hear of it at once. */
  #comeBack(): void {
    const nodes = new Set([...this.#sent.keys(), ...this.#peers.keys()]);
    this.#incarnation = Math.max(this.#incarnation + 1, this.#options.newIncarnation());
    this.#sent.clear();
    for (const node of nodes) {
      const subject = subjectOf(this.#options.node, `${node}/main`);
      this.#send(subject, node, encodeHello(this.#headFor(node)));
    }
  }

  #refused({ operation, subject }: Extract<TransportEvent, { readonly type: "refused" }>): void {
    const to = operation === "publish" ? addressOf(subject) : null;
    if (to === null) this.#events.warn(`it may not ${operation}: ${subject}`);
    else this.#events.refused(to);
  }

  #abandon(peer: Peer, subject: string): void {
    if (peer.parts.length > 0) this.#events.dropped(subject, "Late");
    peer.parts = [];
    peer.bytes = 0;
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
