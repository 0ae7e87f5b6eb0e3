import { CodecError, decode, encodeBehind } from "../../codec/mod.ts";
import { ActorError } from "../../errors.ts";
import { checkEnvelope, type Envelope } from "../envelope.ts";

/** Where a packet stands in all that one life of a node sent. */
export interface PacketHead {
  /** Grows from one life of the node to the next. */
  readonly incarnation: number;
  /** Grows from packet to packet. */
  readonly sequence: number;
}

/** What nodes send each other. */
export type Packet =
  | { readonly kind: "message"; readonly head: PacketHead; readonly envelope: Envelope }
  | PartPacket
  /** A sign of life, which is answered by `taken`. */
  | { readonly kind: "hello"; readonly head: PacketHead }
  /** Nothing at all: whether anybody is there to hear it is what matters. */
  | { readonly kind: "probe"; readonly head: PacketHead }
  /** Has no number of its own. */
  | { readonly kind: "taken"; readonly head: PacketHead; readonly taken: Taken };

/** What one life of a node has got of another's. */
export interface Taken {
  /** The incarnation of the other. */
  readonly of: number;
  /** The number of the newest packet; what came before it has come or is lost. */
  readonly upTo: number;
  /** The number of the first packet; what was sent before it went to a former life, or was lost. */
  readonly since: number;
}

/** A part of a message that is too large for one packet. */
export interface PartPacket {
  readonly kind: "part";
  readonly head: PacketHead;
  /** The number of the message's first part. */
  readonly message: number;
  /** Where in the message its bytes belong. */
  readonly offset: number;
  /** Bytes of the whole message: a packet by itself. */
  readonly total: number;
  readonly bytes: Uint8Array;
}

// A packet, little endian: u8 version, u8 kind, six zeros, f64 incarnation, f64 sequence. Behind it a
// message has its frame; a part has f64 message, f64 offset, f64 total and its bytes; what was taken
// is f64 of, f64 upTo, f64 since.

const version = 2;
const headBytes = 24;
const longHeadBytes = 48;
const kinds = ["message", "part", "hello", "taken", "probe"] as const;

/** A whole message, to be stamped. Throws `ActorError`: `TooLarge`, `AppError` for what is no data. */
export function encodeMessage(envelope: Envelope, maxBytes: number): Uint8Array {
  try {
    return encodeBehind(headBytes, envelope, { bytes: maxBytes });
  } catch (thrown) {
    if (!(thrown instanceof CodecError)) throw thrown;
    const code = thrown.code === "TooLarge" ? "TooLarge" : "AppError";
    throw new ActorError(code, `Cannot send message: ${thrown.message}`, { cause: thrown });
  }
}

/** Writes the head of a packet that has room for it. */
export function stamp(packet: Uint8Array, kind: Packet["kind"], head: PacketHead): Uint8Array {
  packet[0] = version;
  packet[1] = kinds.indexOf(kind);
  const view = new DataView(packet.buffer, packet.byteOffset, headBytes);
  view.setFloat64(8, head.incarnation, true);
  view.setFloat64(16, head.sequence, true);
  return packet;
}

/** A packet that is nothing but its head. */
export function encodeSign(kind: "hello" | "probe", head: PacketHead): Uint8Array {
  return stamp(new Uint8Array(headBytes), kind, head);
}

/** What was taken of the receiver. */
export function encodeTaken(head: PacketHead, { of, upTo, since }: Taken): Uint8Array {
  return encodeLongHead("taken", head, [of, upTo, since]);
}

/** What goes before the bytes of a part. */
export function encodePartHead(
  head: PacketHead,
  { message, offset, total }: Pick<PartPacket, "message" | "offset" | "total">,
): Uint8Array {
  return encodeLongHead("part", head, [message, offset, total]);
}

type Three = readonly [number, number, number];

function encodeLongHead(kind: "part" | "taken", head: PacketHead, fields: Three): Uint8Array {
  const bytes = stamp(new Uint8Array(longHeadBytes), kind, head);
  const view = new DataView(bytes.buffer);
  fields.forEach((value, i) => view.setFloat64(headBytes + 8 * i, value, true));
  return bytes;
}

/** How many bytes of a message a part may carry. */
export function partBytes(maxPayload: number): number {
  return Math.max(8, Math.floor((maxPayload - longHeadBytes) / 8) * 8);
}

/** The packet of bytes from outside. Throws `CodecError`, nothing else. */
export function decodePacket(bytes: Uint8Array): Packet {
  if (bytes.length < headBytes || bytes[0] !== version) throw malformed("no head");
  const kind = kinds[bytes[1]!];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head = { incarnation: view.getFloat64(8, true), sequence: view.getFloat64(16, true) };
  if (!Number.isFinite(head.incarnation) || !isCount(head.sequence)) throw malformed("bad head");
  if (kind === "message") return { kind, head, envelope: decodeEnvelope(bytes) };
  if (kind === "part") return decodePart(bytes, view, head);
  if (kind === "taken") return { kind, head, taken: decodeTaken(bytes, view) };
  if (kind === undefined || bytes.length !== headBytes) throw malformed("unknown kind");
  return { kind, head };
}

/** The envelope of a whole message, whose head is not looked at. Throws `CodecError`. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const envelope = checkEnvelope(decode(bytes.subarray(headBytes)));
  if (envelope === null) throw malformed("no known envelope");
  return envelope;
}

function decodePart(bytes: Uint8Array, view: DataView, head: PacketHead): PartPacket {
  if (bytes.length <= longHeadBytes) throw malformed("empty part");
  const [message, offset, total] = decodeFields(view);
  const piece = bytes.subarray(longHeadBytes);
  const fits = isCount(message) && isCount(offset) && isCount(total) &&
    message <= head.sequence && offset + piece.length <= total;
  if (!fits) throw malformed("bad part");
  return { kind: "part", head, message, offset, total, bytes: piece };
}

function decodeTaken(bytes: Uint8Array, view: DataView): Taken {
  if (bytes.length !== longHeadBytes) throw malformed("bad taken");
  const [of, upTo, since] = decodeFields(view);
  if (!Number.isFinite(of) || !isCount(upTo) || !isCount(since)) throw malformed("bad taken");
  return { of, upTo, since };
}

function decodeFields(view: DataView): Three {
  const at = (i: number) => view.getFloat64(headBytes + 8 * i, true);
  return [at(0), at(1), at(2)];
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function malformed(what: string): CodecError {
  return new CodecError("Malformed", `Cannot read packet: ${what}`);
}
