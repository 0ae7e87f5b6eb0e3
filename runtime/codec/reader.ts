import { crc32 } from "node:zlib";
import { CodecError } from "./errors.ts";
import {
  elementsOf,
  maxRank,
  viewOf,
  widthOf,
  type WireArray,
  type WireDType,
  wireDTypes,
  type WireTensor,
} from "./tensor.ts";
import { ext, maxDepth } from "./writer.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const longestKeptShort = 32;

/**
 * Reads what `Writer` wrote, and nothing else of msgpack. Every length is checked against the bytes that
 * are there before anything is made of it. Throws `CodecError`, nothing else.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  #at: number;
  #blockAt: number;
  #hasBlocks = false;

  /** Reads a header from `at` to `end`; its blocks begin at `blockAt`, which is a multiple of 8. */
  constructor(bytes: Uint8Array, at: number, end: number, blockAt: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
    this.#end = end;
    this.#blockAt = blockAt;
  }

  /** The one value of the header, with all that comes after it. */
  whole(): unknown {
    const value = this.#value(0);
    if (this.#at !== this.#end) throw malformed(`header ends at byte ${this.#at}`);
    const end = this.#hasBlocks ? this.#blockAt : this.#end;
    if (end !== this.#bytes.length) throw malformed(`frame ends at byte ${end}`);
    return value;
  }

  #value(depth: number): unknown {
    const tag = this.#byte();
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 256;
    if (tag >= 0xa0 && tag < 0xc0) return this.#string(tag & 31);
    if (tag < 0x90) return this.#record(tag & 15, depth);
    if (tag < 0xa0) return this.#list(tag & 15, depth);
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc7:
        return this.#extension(this.#byte());
      case 0xcb:
        return this.#view.getFloat64(this.#take(8));
      case 0xce:
        return this.#view.getUint32(this.#take(4));
      case 0xcf:
        return this.#view.getBigUint64(this.#take(8));
      case 0xd2:
        return this.#view.getInt32(this.#take(4));
      case 0xd3:
        return this.#view.getBigInt64(this.#take(8));
      case 0xd9:
        return this.#string(this.#byte());
      case 0xda:
        return this.#string(this.#view.getUint16(this.#take(2)));
      case 0xdb:
        return this.#string(this.#view.getUint32(this.#take(4)));
      case 0xdc:
        return this.#list(this.#view.getUint16(this.#take(2)), depth);
      case 0xdd:
        return this.#list(this.#view.getUint32(this.#take(4)), depth);
      case 0xde:
        return this.#record(this.#view.getUint16(this.#take(2)), depth);
      case 0xdf:
        return this.#record(this.#view.getUint32(this.#take(4)), depth);
      default:
        throw malformed(`tag ${tag}`);
    }
  }

  #list(length: number, depth: number): unknown[] {
    this.#enter(length, depth);
    const values: unknown[] = [];
    for (let i = 0; i < length; i++) values.push(this.#value(depth + 1));
    return values;
  }

  #record(length: number, depth: number): Record<string, unknown> {
    this.#enter(length * 2, depth);
    const record: Record<string, unknown> = {};
    for (let i = 0; i < length; i++) {
      const key = this.#key();
      if (key === "__proto__") throw malformed("key __proto__");
      record[key] = this.#value(depth + 1);
    }
    return record;
  }

  #key(): string {
    const tag = this.#byte();
    if (tag >= 0xa0 && tag < 0xc0) return this.#string(tag & 31);
    if (tag === 0xd9) return this.#string(this.#byte());
    if (tag === 0xda) return this.#string(this.#view.getUint16(this.#take(2)));
    throw malformed(`key with tag ${tag}`);
  }

  #string(length: number): string {
    const start = this.#take(length);
    if (length <= longestKeptShort) {
      const text = this.#ascii(start, length);
      if (text !== null) return text;
    }
    try {
      return decoder.decode(this.#bytes.subarray(start, start + length));
    } catch {
      throw malformed(`text at byte ${start}`);
    }
  }

  /** A short text, unless it is more than ASCII; faster than to decode it. */
  #ascii(start: number, length: number): string | null {
    let text = "";
    for (let i = start; i < start + length; i++) {
      const code = this.#bytes[i]!;
      if (code >= 128) return null;
      text += String.fromCharCode(code);
    }
    return text;
  }

  #extension(length: number): WireTensor | WireArray {
    const type = this.#byte();
    const start = this.#take(length);
    const dtype = wireDTypes[this.#bytes[start]!];
    if (dtype === undefined || length < 2) throw malformed("elements of an unknown type");
    const isSmall = type === ext.smallTensor || type === ext.smallArray;
    const head = isSmall ? 2 : 5;
    const rank = isSmall ? this.#bytes[start + 1]! : (length - head) / 4;
    const shape = this.#shape(start + head, rank, length - head);
    const data = isSmall
      ? this.#inPlace(dtype, shape, start + head + 4 * rank, start + length)
      : this.#block(dtype, shape, this.#view.getUint32(start + 1));
    if (type === ext.tensor || type === ext.smallTensor) return { dtype, shape, data };
    const isArray = type === ext.array || type === ext.smallArray;
    if (isArray && rank === 1 && dtype !== "bf16") return data;
    throw malformed(`extension ${type}`);
  }

  #shape(at: number, rank: number, bytes: number): number[] {
    if (!Number.isInteger(rank) || rank < 0 || rank > maxRank || rank * 4 > bytes) {
      throw malformed(`rank ${rank}`);
    }
    const shape: number[] = [];
    for (let i = 0; i < rank; i++) shape.push(this.#view.getUint32(at + 4 * i));
    return shape;
  }

  #inPlace(dtype: WireDType, shape: readonly number[], start: number, end: number): WireArray {
    const length = elementsOf(shape);
    if (length * widthOf(dtype) !== end - start) throw malformed(`elements of shape ${shape}`);
    return viewOf(dtype, this.#bytes.slice(start, end).buffer, 0, length);
  }

  #block(dtype: WireDType, shape: readonly number[], crc: number): WireArray {
    this.#hasBlocks = true;
    const length = elementsOf(shape);
    const size = length * widthOf(dtype);
    const at = this.#blockAt;
    if (!(size <= this.#bytes.length - at)) throw malformed(`block of bytes ${size}`);
    this.#blockAt += Math.ceil(size / 8) * 8;
    const { buffer, byteOffset } = this.#bytes;
    const data = viewOf(dtype, buffer, byteOffset + at, length);
    if (crc32(this.#bytes.subarray(at, at + size)) !== crc) {
      throw new CodecError("Checksum", `Block is corrupt at byte: ${at}`);
    }
    return data;
  }

  #enter(values: number, depth: number): void {
    if (depth >= maxDepth) throw new CodecError("TooDeep", `Frame nests deeper than: ${depth}`);
    if (values > this.#end - this.#at) throw malformed(`values ${values}`);
  }

  #byte(): number {
    if (this.#at >= this.#end) throw malformed(`header ends at byte ${this.#at}`);
    return this.#bytes[this.#at++]!;
  }

  /** Where so many bytes begin, which are then behind. */
  #take(bytes: number): number {
    const start = this.#at;
    if (bytes > this.#end - start) throw malformed(`header ends at byte ${this.#end}`);
    this.#at = start + bytes;
    return start;
  }
}

/** The error for bytes that are no frame. */
export function malformed(what: string): CodecError {
  return new CodecError("Malformed", `Cannot decode frame: ${what}`);
}
