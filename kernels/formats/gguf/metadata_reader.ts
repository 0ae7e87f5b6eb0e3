import { quote } from "../../quote.ts";
import type { ByteReader } from "./byte_reader.ts";

const MAX_KEY_BYTES = 65_535;
const MAX_STRING_BYTES = 16 << 20;
const MAX_ELEMENTS = 1 << 24;
const MAX_DEPTH = 3;
const STRING = 8;
const ARRAY = 9;

/** A metadata value; integers beyond 2^53 are bigint. */
export type GgufValue = string | number | bigint | boolean | readonly GgufValue[];

interface Scalar {
  readonly bytes: number;
  readonly decode: (view: DataView, offset: number) => number | bigint | boolean;
}

const scalars: Readonly<Record<number, Scalar>> = {
  0: { bytes: 1, decode: (view, at) => view.getUint8(at) },
  1: { bytes: 1, decode: (view, at) => view.getInt8(at) },
  2: { bytes: 2, decode: (view, at) => view.getUint16(at, true) },
  3: { bytes: 2, decode: (view, at) => view.getInt16(at, true) },
  4: { bytes: 4, decode: (view, at) => view.getUint32(at, true) },
  5: { bytes: 4, decode: (view, at) => view.getInt32(at, true) },
  6: { bytes: 4, decode: (view, at) => view.getFloat32(at, true) },
  7: { bytes: 1, decode: (view, at) => view.getUint8(at) !== 0 },
  10: { bytes: 8, decode: (view, at) => integer(view.getBigUint64(at, true)) },
  11: { bytes: 8, decode: (view, at) => integer(view.getBigInt64(at, true)) },
  12: { bytes: 8, decode: (view, at) => view.getFloat64(at, true) },
};

/** Reads the metadata of a header, within a bound of array elements over all keys. */
export class MetadataReader {
  readonly #reader: ByteReader;
  #elementsLeft = MAX_ELEMENTS;

  constructor(reader: ByteReader) {
    this.#reader = reader;
  }

  /** Reads `count` keys and values. */
  read(count: number): Map<string, GgufValue> {
    const metadata = new Map<string, GgufValue>();
    for (let i = 0; i < count; i++) {
      const key = this.#reader.string("metadata key", MAX_KEY_BYTES);
      if (metadata.has(key)) throw this.#reader.invalid(`metadata key twice: ${quote(key)}`);
      metadata.set(key, this.#value(this.#reader.u32(), key, 0));
    }
    return metadata;
  }

  #value(type: number, key: string, depth: number): GgufValue {
    if (type === STRING) return this.#reader.string(quote(key), MAX_STRING_BYTES);
    if (type === ARRAY) return this.#array(key, depth + 1);
    const { bytes, decode } = this.#scalar(type, key);
    return this.#reader.value(bytes, decode);
  }

  #array(key: string, depth: number): GgufValue[] {
    if (depth > MAX_DEPTH) throw this.#reader.invalid(`${quote(key)} nests too deeply`);
    const type = this.#reader.u32();
    const least = type === STRING || type === ARRAY ? 8 : this.#scalar(type, key).bytes;
    const most = Math.min(this.#elementsLeft, Math.floor(this.#reader.left / least));
    const length = this.#reader.size(`elements of ${quote(key)}`, most);
    this.#elementsLeft -= length;
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.#value(type, key, depth));
    return values;
  }

  #scalar(type: number, key: string): Scalar {
    const scalar = Object.hasOwn(scalars, type) ? scalars[type] : undefined;
    if (scalar !== undefined) return scalar;
    throw this.#reader.invalid(`${quote(key)} has a value of unknown type ${type}`);
  }
}

function integer(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
