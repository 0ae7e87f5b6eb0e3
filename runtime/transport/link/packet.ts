import { CodecError, decode, encodeBehind } from "../../codec/mod.ts";
import { ActorError } from "../../errors.ts";
import { checkEnvelope, type Envelope } from "../envelope.ts";

/** Where a packet stands in all that one life of a node sent. */
export interface PacketHead {
  /** Grows from one life of the node to the next. */
  readonly incarnation: number;
  /** One more than that of the packet before to the same node. */
  readonly sequence: number;
}

/** What nodes send each other. */
export type Packet =
  | { readonly kind: "message"; readonly head: PacketHead; readonly envelope: Envelope }
  | PartPacket
  /** A sign of life, which is answered by `taken`. */
  | { readonly kind: "hello"; readonly head: PacketHead }
  /** Its number is that of the last packet to the same node, or -1: it has none of its own. */
  | { readonly kind: "taken"; readonly head: PacketHead; readonly taken: Taken };

/** Numbers of packets that did not come, the first one and the one after the last. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** The most gaps that are told at a time. */
export const maxGaps = 16;

/** What one life of a node has got of another's. */
export interface Taken {
  /** The incarnation of the other. */
  readonly of: number;
  /** The number after that of the newest packet. */
  readonly upTo: number;
  /** What was sent before this number went to a former life, or was lost on the way to it. */
  readonly since: number;
  /** The number of the first packet that was sent to this life of the other. */
  readonly base: number;
  /** What was missed before `upTo`, of late. */
  readonly gaps: readonly Gap[];
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
// is f64 of, f64 upTo, f64 since, f64 base, and f64 from, f64 to of each gap.

const version = 2;
const headBytes = 24;
const partHeadBytes = 48;
const takenFields = 4;
const kinds = ["message", "part", "hello", "taken"] as const;

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

/** A sign of life. */
export function encodeHello(head: PacketHead): Uint8Array {
  return stamp(new Uint8Array(headBytes), "hello", head);
}

/** What was taken of the receiver. */
export function encodeTaken(head: PacketHead, taken: Taken): Uint8Array {
  const { of, upTo, since, base, gaps } = taken;
  const fields = [of, upTo, since, base, ...gaps.flatMap(({ from, to }) => [from, to])];
  const bytes = stamp(new Uint8Array(headBytes + 8 * fields.length), "taken", head);
  return writeFields(bytes, fields);
}

/** What goes before the bytes of a part. */
export function encodePartHead(
  head: PacketHead,
  { message, offset, total }: Pick<PartPacket, "message" | "offset" | "total">,
): Uint8Array {
  const bytes = stamp(new Uint8Array(partHeadBytes), "part", head);
  return writeFields(bytes, [message, offset, total]);
}

function writeFields(bytes: Uint8Array, fields: readonly number[]): Uint8Array {
  const view = new DataView(bytes.buffer);
  fields.forEach((field, i) => view.setFloat64(headBytes + 8 * i, field, true));
  return bytes;
}

/** How many bytes of a message a part may carry. */
export function partBytes(maxPayload: number): number {
  return Math.max(8, Math.floor((maxPayload - partHeadBytes) / 8) * 8);
}

/** The packet of bytes from outside. Throws `CodecError`, nothing else. */
export function decodePacket(bytes: Uint8Array): Packet {
  if (bytes.length < headBytes || bytes[0] !== version) throw malformed("no head");
  const kind = kinds[bytes[1]!];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head = { incarnation: view.getFloat64(8, true), sequence: view.getFloat64(16, true) };
  const isCounted = isCount(head.sequence) || kind === "taken" && head.sequence === -1;
  if (!Number.isFinite(head.incarnation) || !isCounted) throw malformed("bad head");
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
  if (bytes.length <= partHeadBytes) throw malformed("empty part");
  const [message, offset, total] = readFields(view, 3) as [number, number, number];
  const piece = bytes.subarray(partHeadBytes);
  const fits = [message, offset, total].every(isCount) && message <= head.sequence &&
    offset + piece.length <= total;
  if (!fits) throw malformed("bad part");
  return { kind: "part", head, message, offset, total, bytes: piece };
}

function decodeTaken(bytes: Uint8Array, view: DataView): Taken {
  const count = (bytes.length - headBytes) / 8;
  const gapCount = (count - takenFields) / 2;
  if (!Number.isInteger(gapCount) || gapCount < 0 || gapCount > maxGaps) {
    throw malformed("bad taken");
  }
  const [of, ...counts] = readFields(view, count) as [number, number, number, number];
  if (!Number.isFinite(of) || !counts.every(isCount)) throw malformed("bad taken");
  const [upTo, since, base, ...edges] = counts as [number, number, number];
  const gaps = Array.from({ length: gapCount }, (_, i) => ({
    from: edges[2 * i]!,
    to: edges[2 * i + 1]!,
  }));
  return { of, upTo, since, base, gaps };
}

function readFields(view: DataView, count: number): number[] {
  return Array.from({ length: count }, (_, i) => view.getFloat64(headBytes + 8 * i, true));
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function malformed(what: string): CodecError {
  return new CodecError("Malformed", `Cannot read packet: ${what}`);
}
