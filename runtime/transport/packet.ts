import { ActorError } from "../errors.ts";
import { CodecError, decode, encode } from "../codec/mod.ts";
import { checkEnvelope, type Envelope } from "./envelope.ts";

/** Where a packet stands in all that one life of a node sent to another. */
export interface PacketHead {
  readonly source: string;
  /** Grows from one life of the node to the next. */
  readonly incarnation: number;
  readonly sequence: number;
}

/** A packet: a whole envelope, a part of the frame of one, or nothing but a sign of life. */
export type Packet =
  | { readonly head: PacketHead; readonly hello: true }
  | { readonly head: PacketHead; readonly envelope: Envelope }
  | {
    readonly head: PacketHead;
    readonly part: number;
    readonly of: number;
    readonly bytes: Uint8Array;
  };

/** Room for a packet's header around the bytes of a part. */
const partOverhead = 512;

/** The bytes of one whole envelope. Throws `ActorError` (`AppError`) when it cannot be encoded. */
export function encodeEnvelope(head: PacketHead, envelope: Envelope): Uint8Array {
  return encodeOrRefuse({ ...head, envelope });
}

/** The bytes of a sign of life. */
export function encodeHello(head: PacketHead): Uint8Array {
  return encodeOrRefuse({ ...head, hello: true });
}

/** The packets of a frame that is too large for one, in order. */
export function* encodeParts(
  head: PacketHead,
  frame: Uint8Array,
  maxPayload: number,
): Generator<Uint8Array> {
  const size = Math.max(8, maxPayload - partOverhead);
  const of = Math.ceil(frame.byteLength / size);
  for (let part = 0; part < of; part++) {
    const bytes = frame.subarray(part * size, (part + 1) * size);
    yield encodeOrRefuse({ ...head, sequence: head.sequence + part, part, of, bytes });
  }
}

/** The packet of bytes from outside. Throws `CodecError`, nothing else. */
export function decodePacket(bytes: Uint8Array): Packet {
  const data = decode(bytes);
  if (typeof data !== "object" || data === null) throw malformed("no object");
  const { source, incarnation, sequence, hello, envelope, part, of, bytes: piece } = data as Record<
    string,
    unknown
  >;
  if (typeof source !== "string" || source.length > 129) throw malformed("no source");
  if (typeof incarnation !== "number" || !isCount(sequence)) throw malformed("no sequence");
  const head = { source, incarnation, sequence };
  if (hello === true) return { head, hello };
  if (envelope !== undefined) {
    const checked = checkEnvelope(envelope);
    if (checked === null) throw malformed("no known envelope");
    return { head, envelope: checked };
  }
  if (!isCount(part) || !isCount(of) || part >= of || !(piece instanceof Uint8Array)) {
    throw malformed("no part");
  }
  return { head, part, of, bytes: piece };
}

function encodeOrRefuse(value: unknown): Uint8Array {
  try {
    return encode(value);
  } catch (thrown) {
    if (!(thrown instanceof CodecError)) throw thrown;
    const code = thrown.code === "TooLarge" ? "TooLarge" : "AppError";
    throw new ActorError(code, `Cannot send message: ${thrown.message}`, { cause: thrown });
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function malformed(what: string): CodecError {
  return new CodecError("Malformed", `Cannot read packet: ${what}`);
}
