/** Element types that travel as raw blocks. `bf16` is stored in a `Uint16Array`. */
export type WireDType =
  | "f64"
  | "f32"
  | "f16"
  | "bf16"
  | "i64"
  | "u64"
  | "i32"
  | "u32"
  | "i16"
  | "u16"
  | "i8"
  | "u8";

/** The arrays whose bytes travel as raw blocks. */
export type WireArray =
  | Float64Array
  | Float32Array
  | Float16Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** A tensor as a message carries it; the product of `shape` is the length of `data`. */
export interface WireTensor {
  /** The type of an element. */
  readonly dtype: WireDType;
  /** The sizes of its dimensions, outermost first; at most 8. */
  readonly shape: readonly number[];
  /** Its elements in row-major order. */
  readonly data: WireArray;
}

/** The most dimensions of a tensor. */
export const maxRank = 8;

type WireArrayConstructor = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, offset: number, length: number): WireArray;
};

const constructors: Readonly<Record<WireDType, WireArrayConstructor>> = {
  f64: Float64Array,
  f32: Float32Array,
  f16: Float16Array,
  bf16: Uint16Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  i32: Int32Array,
  u32: Uint32Array,
  i16: Int16Array,
  u16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
};

/** All element types; their places stand for them on the wire. */
export const wireDTypes = Object.keys(constructors) as readonly WireDType[];

const plainTypes = new Map(
  (Object.entries(constructors) as [WireDType, WireArrayConstructor][])
    .filter(([dtype]) => dtype !== "bf16")
    .map(([dtype, type]) => [type as unknown, dtype]),
);

/** The element type of an array; null for what cannot travel (`Uint8ClampedArray`, `DataView`). */
export function dtypeOf(array: ArrayBufferView): WireDType | null {
  return plainTypes.get(array.constructor) ?? null;
}

/** Whether a value is a tensor that one raw block can carry. */
export function isTensor(value: object): value is WireTensor {
  const { dtype, shape, data } = value as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(constructors, dtype)) return false;
  if (!Array.isArray(shape) || shape.length > maxRank || !ArrayBuffer.isView(data)) return false;
  if (data.constructor !== constructors[dtype as WireDType]) return false;
  return Object.keys(value).length === 3 && elementsOf(shape) === (data as WireArray).length;
}

/** Bytes of one element. */
export function widthOf(dtype: WireDType): number {
  return constructors[dtype].BYTES_PER_ELEMENT;
}

/** The elements of a shape; NaN when it is no shape. */
export function elementsOf(shape: readonly unknown[]): number {
  let product = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || (size as number) < 0) return NaN;
    product *= size as number;
  }
  return product;
}

/** An array over bytes that are already aligned. */
export function viewOf(
  dtype: WireDType,
  buffer: ArrayBufferLike,
  offset: number,
  length: number,
): WireArray {
  return new constructors[dtype](buffer, offset, length);
}
