import { CodecError } from "./errors.ts";
import { dtypeOf, isTensor, type WireArray, type WireDType, wireDTypes } from "./tensor.ts";

/** An array that the header refers to, and where its checksum belongs in the header. */
export interface Block {
  readonly data: WireArray;
  readonly crcAt: number;
}

/** Types of extensions: tensors and arrays whose elements are in a block, and small ones in place. */
export const ext = { tensor: 1, array: 2, smallTensor: 3, smallArray: 4 } as const;

/** How deep values may nest. */
export const maxDepth = 60;

const firstBytes = 256;

/** An array of no more bytes is in place: an extension has at most 255. */
const smallBytes = 192;
const encoder = new TextEncoder();

/**
 * Writes plain data as msgpack. An array or tensor becomes an extension: element type, checksum and sizes,
 * with its elements left for the blocks behind the header, in the order of `blocks`; a small one has element
 * type, rank, sizes and its elements.
 */
export class Writer {
  readonly blocks: Block[] = [];
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #at: number;

  /** Begins at an offset of its buffer, which is zero before. */
  constructor(at: number) {
    this.#bytes = new Uint8Array(at + firstBytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.#at = at;
  }

  /** Everything from the start of the buffer to where it has come. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  value(value: unknown, depth = 0): void {
    switch (typeof value) {
      case "number":
        return this.#number(value);
      case "string":
        return this.#string(value);
      case "object":
        return value === null ? this.byte(0xc0) : this.#object(value, depth);
      case "boolean":
        return this.byte(value ? 0xc3 : 0xc2);
      case "undefined":
        return this.byte(0xc0);
      case "bigint":
        return this.#bigint(value);
      default:
        throw unsupported(typeof value);
    }
  }

  #object(value: object, depth: number): void {
    if (depth >= maxDepth) {
      throw new CodecError("TooDeep", `Cannot encode value nested deeper: ${depth}`);
    }
    if (Array.isArray(value)) return this.#list(value, depth);
    if (ArrayBuffer.isView(value)) return this.#array(value);
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      throw unsupported(String(value.constructor?.name));
    }
    if (isTensor(value)) this.#elements(ext.tensor, value.dtype, value.shape, value.data);
    else this.#record(value as Readonly<Record<string, unknown>>, depth);
  }

  #list(values: readonly unknown[], depth: number): void {
    this.#length(values.length, 0x90, 0xdc);
    for (const value of values) this.value(value, depth + 1);
  }

  #record(record: Readonly<Record<string, unknown>>, depth: number): void {
    const keys = Object.keys(record);
    let count = 0;
    for (const key of keys) if (record[key] !== undefined) count++;
    this.#length(count, 0x80, 0xde);
    for (const key of keys) {
      if (record[key] === undefined) continue;
      if (key === "__proto__") throw unsupported(key);
      this.#string(key);
      this.value(record[key], depth + 1);
    }
  }

  #array(array: ArrayBufferView): void {
    const dtype = dtypeOf(array);
    if (dtype === null) throw unsupported(array.constructor.name);
    const data = array as WireArray;
    this.#elements(ext.array, dtype, [data.length], data);
  }

  #elements(type: 1 | 2, dtype: WireDType, shape: readonly number[], data: WireArray): void {
    const isSmall = data.byteLength <= smallBytes;
    const head = isSmall ? 2 : 5;
    const length = head + 4 * shape.length + (isSmall ? data.byteLength : 0);
    this.#room(3 + length);
    this.byte(0xc7);
    this.byte(length);
    this.byte(isSmall ? type + 2 : type);
    this.byte(wireDTypes.indexOf(dtype));
    if (isSmall) this.byte(shape.length);
    else this.#checksumOf(data);
    for (const size of shape) this.#uint32(size);
    if (isSmall) this.#raw(data);
  }

  /** Leaves room for a checksum, which the blocks get later. */
  #checksumOf(data: WireArray): void {
    this.blocks.push({ data, crcAt: this.#at });
    this.#at += 4;
  }

  #raw({ buffer, byteOffset, byteLength }: WireArray): void {
    this.#bytes.set(new Uint8Array(buffer, byteOffset, byteLength), this.#at);
    this.#at += byteLength;
  }

  /** A length of up to 15 in the tag, or of 16 or 32 bits behind one. */
  #length(length: number, smallTag: number, tag16: number): void {
    this.#room(5);
    if (length < 16) {
      this.#bytes[this.#at++] = smallTag | length;
    } else if (length < 2 ** 16) {
      this.#bytes[this.#at++] = tag16;
      this.#uint16(length);
    } else {
      this.#bytes[this.#at++] = tag16 + 1;
      this.#uint32(length);
    }
  }

  #string(text: string): void {
    const { length } = text;
    this.#room(5 + length * 3);
    const size = length < 32 ? 1 : length * 3 < 256 ? 2 : length * 3 < 2 ** 16 ? 3 : 5;
    const start = this.#at + size;
    const ascii = length <= 64 && this.#ascii(text, start);
    const written = ascii ? length : encoder.encodeInto(text, this.#bytes.subarray(start)).written;
    if (size === 1 && written >= 32) this.#bytes.copyWithin(start + 1, start, start + written);
    this.#stringTag(written, size === 1 && written >= 32 ? 2 : size);
    this.#at += written;
  }

  /** Copies a short text if it is ASCII, which is faster than to encode it. */
  #ascii(text: string, start: number): boolean {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 128) return false;
      this.#bytes[start + i] = code;
    }
    return true;
  }

  #stringTag(bytes: number, size: number): void {
    if (size === 1) {
      this.#bytes[this.#at++] = 0xa0 | bytes;
      return;
    }
    this.#bytes[this.#at++] = size === 2 ? 0xd9 : size === 3 ? 0xda : 0xdb;
    if (size === 2) this.#bytes[this.#at++] = bytes;
    else if (size === 3) this.#uint16(bytes);
    else this.#uint32(bytes);
  }

  #number(value: number): void {
    this.#room(9);
    const bytes = this.#bytes;
    if ((value | 0) === value && !Object.is(value, -0)) {
      if (value >= -32 && value < 128) {
        bytes[this.#at++] = value & 0xff;
      } else if (value >= 0) {
        bytes[this.#at++] = 0xce;
        this.#uint32(value);
      } else {
        bytes[this.#at++] = 0xd2;
        this.#uint32(value);
      }
      return;
    }
    bytes[this.#at] = 0xcb;
    this.#view.setFloat64(this.#at + 1, value);
    this.#at += 9;
  }

  #bigint(value: bigint): void {
    const isUnsigned = value >= 0n;
    if (isUnsigned ? value >= 2n ** 64n : value < -(2n ** 63n)) {
      throw unsupported("bigint of over 64 bits");
    }
    this.#room(9);
    this.#bytes[this.#at] = isUnsigned ? 0xcf : 0xd3;
    this.#view.setBigUint64(this.#at + 1, BigInt.asUintN(64, value));
    this.#at += 9;
  }

  #uint16(value: number): void {
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
  }

  #uint32(value: number): void {
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

function unsupported(what: string): CodecError {
  return new CodecError("Unsupported", `Cannot encode value of type: ${what}`);
}
