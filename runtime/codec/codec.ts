import { crc32 } from "node:zlib";
import { CodecError } from "./errors.ts";
import { malformed, Reader } from "./reader.ts";
import { type Block, Writer } from "./writer.ts";

/** Bounds on what is encoded and decoded. */
export interface CodecLimits {
  /** The most bytes of a frame; 256 MiB by default. */
  readonly bytes?: number;
}

// A frame: u32 length of the header (little endian) and the header, which is a version and a msgpack
// value. Where extensions in it stand for blocks: zeros up to a multiple of 8, then the raw blocks,
// each followed by zeros up to a multiple of 8.

const version = 2;
const align = 8;
const defaultMaxBytes = 256 * 2 ** 20;

/**
 * Plain data as one frame: null, booleans, numbers, 64-bit bigints, strings, arrays, plain objects,
 * typed arrays and tensors. Fields that are `undefined` are left out. Throws `CodecError`.
 */
export function encode(value: unknown, limits: CodecLimits = {}): Uint8Array<ArrayBuffer> {
  return encodeBehind(0, value, limits);
}

/** The same behind some bytes that are zero: room for what goes before it, a multiple of 8. */
export function encodeBehind(
  room: number,
  value: unknown,
  { bytes = defaultMaxBytes }: CodecLimits = {},
): Uint8Array<ArrayBuffer> {
  const writer = new Writer(room + 4);
  writer.byte(version);
  writer.value(value);
  const { bytes: header, blocks } = writer;
  new DataView(header.buffer).setUint32(room, header.length - room - 4, true);
  const frame = blocks.length === 0 ? header : withBlocks(header, blocks, room + bytes);
  if (frame.length - room > bytes) throw tooLarge(frame.length - room);
  return frame;
}

function withBlocks(
  header: Uint8Array,
  blocks: readonly Block[],
  mostBytes: number,
): Uint8Array<ArrayBuffer> {
  let at = aligned(header.length);
  const total = blocks.reduce((sum, { data }) => sum + aligned(data.byteLength), at);
  if (total > mostBytes) throw tooLarge(total);
  const frame = new Uint8Array(total);
  frame.set(header);
  const view = new DataView(frame.buffer);
  for (const { data, crcAt } of blocks) {
    const block = frame.subarray(at, at + data.byteLength);
    block.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    view.setUint32(crcAt, crc32(block));
    at += aligned(data.byteLength);
  }
  return frame;
}

/** The value of a frame; its arrays are aligned views of it. Throws `CodecError`, nothing else. */
export function decode(frame: Uint8Array, limits: CodecLimits = {}): unknown {
  if (frame.byteLength > (limits.bytes ?? defaultMaxBytes)) {
    throw new CodecError("TooLarge", `Cannot decode frame of bytes: ${frame.byteLength}`);
  }
  if (frame.byteLength < 5) throw malformed("frame is shorter than its first fields");
  const length = new DataView(frame.buffer, frame.byteOffset, 4).getUint32(0, true);
  const end = 4 + length;
  if (end > frame.byteLength) throw malformed(`header of bytes ${length}`);
  if (frame[4] !== version) throw new CodecError("Unsupported", `Frame version: ${frame[4]}`);
  const isAligned = frame.byteOffset % align === 0 || aligned(end) >= frame.byteLength;
  return new Reader(isAligned ? frame : frame.slice(), 5, end, aligned(end)).whole();
}

function tooLarge(bytes: number): CodecError {
  return new CodecError("TooLarge", `Cannot encode frame of bytes: ${bytes}`);
}

function aligned(offset: number): number {
  return Math.ceil(offset / align) * align;
}
