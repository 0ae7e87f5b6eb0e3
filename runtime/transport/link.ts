import { CodecError } from "../codec/mod.ts";
import type { DeadLetterReason } from "../dead_letters.ts";
import { ActorError } from "../errors.ts";
import type { Envelope, Link } from "./envelope.ts";
import {
  decodePacket,
  encodeEnvelope,
  encodeParts,
  type Packet,
  type PacketHead,
} from "./packet.ts";
import type { Transport } from "./transport.ts";

/** What a link tells its node. */
export interface LinkEvents {
  receive(envelope: Envelope): void;
  /** A packet that was dropped. */
  dropped(subject: string, reason: DeadLetterReason): void;
  /** A node was seen in a new life: the former one is gone. */
  restarted(node: string): void;
}

/** How a transport link works. */
export interface TransportLinkOptions {
  readonly node: string;
  readonly incarnation: number;
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
  readonly #unsubscribe: () => void;

  constructor(transport: Transport, options: TransportLinkOptions, events: LinkEvents) {
    this.#transport = transport;
    this.#options = options;
    this.#events = events;
    this.#maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes;
    this.#unsubscribe = transport.subscribe(
      `tandem.${options.node}.>`,
      (subject, bytes) => this.#arrive(subject, bytes),
    );
  }

  send(envelope: Envelope): void {
    const to = envelope.to.slice(0, envelope.to.indexOf("/"));
    const sequence = this.#sent.get(to) ?? 0;
    const { node: source, incarnation } = this.#options;
    const subject = subjectOf(source, envelope.to);
    const head = { source, incarnation, sequence };
    const frame = encodeEnvelope(head, envelope);
    if (frame.byteLength > this.#maxMessageBytes) {
      const limit = this.#maxMessageBytes;
      throw new ActorError("TooLarge", `Message exceeds ${limit} bytes: ${frame.byteLength}`);
    }
    this.#publish(subject, to, head, frame);
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#transport.close();
  }

  /** Publishes whole or in parts; a number is used up even if its packet could not be sent. */
  #publish(subject: string, to: string, head: PacketHead, frame: Uint8Array): void {
    const { maxPayload } = this.#transport;
    const isWhole = frame.byteLength <= maxPayload;
    const packets = isWhole ? [frame] : encodeParts(head, frame, maxPayload);
    for (const packet of packets) {
      this.#sent.set(to, (this.#sent.get(to) ?? 0) + 1);
      this.#transport.publish(subject, packet);
    }
  }

  #arrive(subject: string, bytes: Uint8Array): void {
    try {
      const packet = decodePacket(bytes);
      const { source } = packet.head;
      if (senderOf(subject) !== source) return this.#events.dropped(subject, "Denied");
      const peer = this.#admit(packet.head, subject);
      const envelope = peer && ("envelope" in packet ? packet.envelope : this.#join(peer, packet));
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

  #abandon(peer: Peer, subject: string): void {
    if (peer.parts.length > 0) this.#events.dropped(subject, "Late");
    peer.parts = [];
    peer.bytes = 0;
  }
}

function subjectOf(source: string, to: string): string {
  const node = to.indexOf("/");
  return `tandem.${to.slice(0, node)}.${source}${to.slice(node).replaceAll("/", ".")}`;
}

function senderOf(subject: string): string | undefined {
  return subject.split(".", 3)[2];
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
