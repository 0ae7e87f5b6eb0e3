import { Decoder, Encoder, ExtData } from "@msgpack/msgpack";
import { crc32 } from "node:zlib";
import { CodecError } from "./errors.ts";
import { scan } from "./scan.ts";
import {
  dtypeOf,
  elementsOf,
  isDType,
  isTensor,
  maxRank,
  viewOf,
  widthOf,
  type WireArray,
  type WireDType,
} from "./tensor.ts";

/** Bounds on what is encoded and decoded. */
export interface CodecLimits {
  /** The most bytes of a frame; 256 MiB by default. */
  readonly bytes?: number;
}

// A frame: u32 length of the header (little endian), the header, zeros up to a multiple of 8, then
// the raw blocks, each followed by zeros up to a multiple of 8. The header is three msgpack values:
// version, blocks, value; a block is [dtype, shape, crc32].

const version = 1;
const align = 8;
const maxDepth = 60;
const tensorExt = 1;
const arrayExt = 2;
const defaultMaxBytes = 256 * 2 ** 20;

interface Block {
  readonly dtype: WireDType;
  readonly shape: readonly number[];
  readonly data: WireArray;
}

/**
 * Plain data as one frame: null, booleans, numbers, 64-bit bigints, strings, arrays, plain objects,
 * typed arrays and tensors. Fields that are `undefined` are left out. Throws `CodecError`.
 */
export function encode(value: unknown, limits: CodecLimits = {}): Uint8Array<ArrayBuffer> {
  const blocks: Block[] = [];
  const body = pack(value, (object) => lift(object, blocks));
  const table = pack(blocks.map(({ dtype, shape, data }) => [dtype, shape, checksum(data)]));
  const length = 1 + table.length + body.length;
  const start = aligned(4 + length);
  const total = blocks.reduce((sum, { data }) => sum + aligned(data.byteLength), start);
  if (total > (limits.bytes ?? defaultMaxBytes)) {
    throw new CodecError("TooLarge", `Cannot encode frame of bytes: ${total}`);
  }
  const frame = new Uint8Array(total);
  new DataView(frame.buffer).setUint32(0, length, true);
  frame[4] = version;
  frame.set(table, 5);
  frame.set(body, 5 + table.length);
  let at = start;
  for (const { data } of blocks) {
    frame.set(bytesOf(data), at);
    at += aligned(data.byteLength);
  }
  return frame;
}

/** The value of a frame; its arrays are aligned views of it. Throws `CodecError`, nothing else. */
export function decode(frame: Uint8Array, limits: CodecLimits = {}): unknown {
  if (frame.byteLength > (limits.bytes ?? defaultMaxBytes)) {
    throw new CodecError("TooLarge", `Cannot decode frame of bytes: ${frame.byteLength}`);
  }
  if (frame.byteLength < 4) throw malformed("frame is shorter than its length field");
  const bytes = frame.byteOffset % align === 0 ? frame : frame.slice();
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  if (length > bytes.byteLength - 4) throw malformed(`header of bytes ${length}`);
  const header = bytes.subarray(4, 4 + length);
  scan(header, 3);
  if (header[0] !== version) throw new CodecError("Unsupported", `Frame version: ${header[0]}`);
  return unpack(header, (table) => readBlocks(table, bytes, aligned(4 + length)));
}

// Packing.

function pack(value: unknown, encodeObject: (object: unknown) => ExtData | null = () => null) {
  const extensionCodec = { tryToEncode: encodeObject, decode: () => null };
  const options = { extensionCodec, useBigInt64: true, maxDepth, ignoreUndefined: true };
  try {
    return new Encoder(options).encode(value);
  } catch (thrown) {
    if (thrown instanceof CodecError) throw thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const code = message.startsWith("Too deep") ? "TooDeep" : "Unsupported";
    throw new CodecError(code, `Cannot encode value: ${message}`, { cause: thrown });
  }
}

/** Takes tensors and arrays out of the value, leaving the index of their block. */
function lift(object: unknown, blocks: Block[]): ExtData | null {
  if (Array.isArray(object)) return null;
  if (typeof object !== "object" || object === null) throw unsupported(object);
  if (ArrayBuffer.isView(object)) {
    const dtype = dtypeOf(object);
    if (dtype === null) throw unsupported(object);
    const data = object as WireArray;
    return blockRef(arrayExt, blocks.push({ dtype, shape: [data.length], data }) - 1);
  }
  const prototype = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) throw unsupported(object);
  return isTensor(object) ? blockRef(tensorExt, blocks.push(object) - 1) : null;
}

function blockRef(type: number, index: number): ExtData {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, index);
  return new ExtData(type, bytes);
}

function unsupported(value: unknown): CodecError {
  const what = typeof value === "object" ? value?.constructor?.name : typeof value;
  return new CodecError("Unsupported", `Cannot encode value of type: ${what}`);
}

// Unpacking.

function unpack(header: Uint8Array, blocksOf: (table: unknown) => readonly Block[]): unknown {
  let blocks: readonly Block[] = [];
  const decodeExt = (data: Uint8Array, type: number) => place(blocks, data, type);
  const extensionCodec = { tryToEncode: () => null, decode: decodeExt };
  try {
    const values = new Decoder({ extensionCodec, useBigInt64: true }).decodeMulti(header);
    values.next();
    blocks = blocksOf(values.next().value);
    return values.next().value;
  } catch (thrown) {
    if (thrown instanceof CodecError) throw thrown;
    throw malformed(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

function place(blocks: readonly Block[], data: Uint8Array, type: number): unknown {
  if (data.length !== 4) throw malformed(`extension of bytes ${data.length}`);
  const index = new DataView(data.buffer, data.byteOffset, 4).getUint32(0);
  const block = blocks[index];
  if (!block) throw malformed(`no block ${index}`);
  if (type === tensorExt) return block;
  if (type === arrayExt) return block.data;
  throw malformed(`extension of type ${type}`);
}

function readBlocks(table: unknown, bytes: Uint8Array, start: number): Block[] {
  if (!Array.isArray(table)) throw malformed("blocks are no array");
  let at = start;
  const blocks = table.map((entry) => {
    const block = readBlock(entry, bytes, at);
    at += aligned(block.data.byteLength);
    return block;
  });
  if (at !== bytes.byteLength) throw malformed(`blocks end at byte ${at}`);
  return blocks;
}

function readBlock(entry: unknown, bytes: Uint8Array, at: number): Block {
  if (!Array.isArray(entry)) throw malformed("block is no array");
  const [dtype, shape, crc] = entry;
  if (!isDType(dtype)) throw malformed("block has an unknown dtype");
  if (!Array.isArray(shape) || shape.length > maxRank) throw malformed("block has no shape");
  const length = elementsOf(shape);
  const size = length * widthOf(dtype);
  if (!(size <= bytes.byteLength - at)) throw malformed(`block of bytes ${size}`);
  const data = viewOf(dtype, bytes.buffer, bytes.byteOffset + at, length);
  if (checksum(data) !== crc) throw new CodecError("Checksum", `Block is corrupt at byte: ${at}`);
  return { dtype, shape, data };
}

// Bytes.

function aligned(offset: number): number {
  return Math.ceil(offset / align) * align;
}

function bytesOf(data: WireArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function checksum(data: WireArray): number {
  const bytes = bytesOf(data);
  return crc32(bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes);
}

function malformed(what: string): CodecError {
  return new CodecError("Malformed", `Cannot decode frame: ${what}`);
}
