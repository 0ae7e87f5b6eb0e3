import type { Backend, Tensor, WeightDType } from "../../kernels/mod.ts";
import { uniform } from "../weights/mod.ts";
import { noise } from "./workload.ts";

/** Blocks of the quantised dtypes, with the places of their F16 scales. */
const quantised = {
  q8_0: { elements: 32, bytes: 34, scales: [0] },
  q4_0: { elements: 32, bytes: 18, scales: [0] },
  q4_k: { elements: 256, bytes: 144, scales: [0, 2] },
  q6_k: { elements: 256, bytes: 210, scales: [208] },
} as const;

const plainBytes = { f32: 4, f16: 2, bf16: 2 } as const;

/** Every dtype that weights may have. */
export const weightDTypes: readonly WeightDType[] = [
  ...["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k"] as const,
];

/** Prime, so that rows differ. */
const patternBlocks = 1021;

/** Bytes of `count` weights. */
export function weightBytes(dtype: WeightDType, count: number): number {
  return dtype in plainBytes
    ? count * plainBytes[dtype as keyof typeof plainBytes]
    : count / quantised[dtype as keyof typeof quantised].elements *
      quantised[dtype as keyof typeof quantised].bytes;
}

/** How far a product with such weights may be from the reference: activations are rounded to bytes. */
export function weightTolerance(dtype: WeightDType): number {
  return dtype in quantised ? 0.02 : 1e-3;
}

/** A sealed weight of small random numbers. */
export function weight(backend: Backend, dtype: WeightDType, shape: readonly number[]): Tensor {
  const tensor = backend.tensor({ label: "weight", dtype, shape });
  const pattern = patternOf(dtype);
  backend.load(tensor, 0, tensor.byteLength, (into, offset) => tile(pattern, offset, into));
  backend.seal(tensor);
  return tensor;
}

function patternOf(dtype: WeightDType): Uint8Array {
  switch (dtype) {
    case "f32":
      return new Uint8Array(noise(patternBlocks, 5).buffer);
    case "f16":
      return new Uint8Array(Float16Array.from(noise(patternBlocks, 5)).buffer);
    case "bf16": {
      const bits = new Uint32Array(noise(patternBlocks, 5).buffer);
      return new Uint8Array(Uint16Array.from(bits, (word) => word >>> 16).buffer);
    }
    default:
      return quantisedPattern(dtype);
  }
}

function quantisedPattern(dtype: keyof typeof quantised): Uint8Array {
  const { bytes, scales } = quantised[dtype];
  const random = uniform(7);
  const pattern = Uint8Array.from({ length: patternBlocks * bytes }, () => 256 * random());
  const view = new DataView(pattern.buffer);
  for (let block = 0; block < pattern.length; block += bytes) {
    for (const at of scales) view.setFloat16(block + at, 0.005 + 0.005 * random(), true);
  }
  return pattern;
}

function tile(pattern: Uint8Array, offset: number, into: Uint8Array): void {
  for (let to = 0, from = offset % pattern.length; to < into.length; from = 0) {
    const piece = pattern.subarray(from, from + into.length - to);
    into.set(piece, to);
    to += piece.length;
  }
}
