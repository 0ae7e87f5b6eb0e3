import type { DType, WeightDType } from "./backend.ts";
import { dequantise, type QuantisedDType } from "./dequantise.ts";
import { KernelError } from "./errors.ts";

/** How a dtype is stored: elements of a block, and bytes of a block. A block lies within one row. */
export const blocks: Readonly<
  Record<DType, { readonly elements: number; readonly bytes: number }>
> = {
  f32: { elements: 1, bytes: 4 },
  f16: { elements: 1, bytes: 2 },
  bf16: { elements: 1, bytes: 2 },
  i32: { elements: 1, bytes: 4 },
  q8_0: { elements: 32, bytes: 34 },
  q4_0: { elements: 32, bytes: 18 },
  q4_k: { elements: 256, bytes: 144 },
  q6_k: { elements: 256, bytes: 210 },
};

/** Whether a dtype is one that weights may have. */
export function isWeightDType(dtype: string): dtype is WeightDType {
  return dtype !== "i32" && Object.hasOwn(blocks, dtype);
}

/** Whether a dtype is stored in blocks of several elements. */
export function isQuantised(dtype: DType): dtype is QuantisedDType {
  return blocks[dtype].elements > 1;
}

/** Bytes of a tensor as stored. Throws `InvalidShape` when its rows are not whole blocks. */
export function byteLength(dtype: DType, shape: readonly number[]): number {
  const block = blocks[dtype];
  const row = shape.at(-1) ?? 1;
  if (row % block.elements !== 0) {
    throw new KernelError(
      "InvalidShape",
      `Cannot store rows of ${dtype} that are not whole blocks of ${block.elements}: ${row}`,
    );
  }
  return elements(shape) / block.elements * block.bytes;
}

/** Stored weights as float32: a live view of `f32`, a widened copy of every other dtype. */
export function widen(dtype: DType, buffer: ArrayBuffer): Float32Array<ArrayBuffer> {
  if (isQuantised(dtype)) return dequantise(dtype, new Uint8Array(buffer));
  if (dtype === "f16") return Float32Array.from(new Float16Array(buffer));
  if (dtype === "bf16") {
    return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
  }
  return new Float32Array(buffer);
}

/** Elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
