import type { DType } from "./backend.ts";

/** Bytes of one element. */
export const byteWidth: Readonly<Record<DType, number>> = { f32: 4, f16: 2, bf16: 2, i32: 4 };

/** Stored floats as float32: a live view of `f32`, a widened copy of `f16` and `bf16`. */
export function widen(dtype: DType, buffer: ArrayBuffer): Float32Array<ArrayBuffer> {
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
