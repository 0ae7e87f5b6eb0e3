/**
 * Quantises float32 to the blocks of ggml: round to nearest with the plainest choice of scales, without the
 * searches of ggml's own quantiser, so that errors are a little larger.
 */
import type { WeightDType } from "../../kernels/backend.ts";

/** Dtypes that are stored in blocks. */
export type QuantisedDType = Extract<WeightDType, `q${string}`>;

type Encoder = (x: Float32Array, bytes: Uint8Array) => void;

const encoders: Readonly<
  Record<QuantisedDType, { elements: number; bytes: number; encode: Encoder }>
> = {
  q8_0: { elements: 32, bytes: 34, encode: encodeQ8_0 },
  q4_0: { elements: 32, bytes: 18, encode: encodeQ4_0 },
  q4_k: { elements: 256, bytes: 144, encode: encodeQ4K },
  q6_k: { elements: 256, bytes: 210, encode: encodeQ6K },
};

/** The blocks of `values`, whose number is a multiple of the block's elements. */
export function quantise(dtype: QuantisedDType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const { elements, bytes, encode } = encoders[dtype];
  const blocks = values.length / elements;
  if (!Number.isInteger(blocks)) {
    throw new RangeError(`Cannot quantise other than whole blocks: ${values.length}`);
  }
  const out = new Uint8Array(blocks * bytes);
  for (let i = 0; i < blocks; i++) {
    const block = values.subarray(i * elements, (i + 1) * elements);
    encode(block, out.subarray(i * bytes, (i + 1) * bytes));
  }
  return out;
}

function encodeQ8_0(x: Float32Array, bytes: Uint8Array): void {
  const scale = storeHalf(bytes, 0, largest(x) / 127);
  x.forEach((value, i) => bytes[2 + i] = nearest(value, scale, -127, 127));
}

function encodeQ4_0(x: Float32Array, bytes: Uint8Array): void {
  const scale = storeHalf(bytes, 0, largest(x) / 7);
  const quants = x.map((value) => nearest(value, scale, -8, 7) + 8);
  for (let i = 0; i < 16; i++) bytes[2 + i] = quants[i]! | quants[i + 16]! << 4;
}

function encodeQ4K(x: Float32Array, bytes: Uint8Array): void {
  const parts = Array.from({ length: 8 }, (_, i) => x.subarray(i * 32, i * 32 + 32));
  const minima = parts.map((part) => Math.max(0, -part.reduce((a, b) => Math.min(a, b))));
  const scales = parts.map((part, i) =>
    Math.max(0, part.reduce((a, b) => Math.max(a, b)) + minima[i]!) / 15
  );
  const scale = storeHalf(bytes, 0, Math.max(...scales) / 63);
  const minimum = storeHalf(bytes, 2, Math.max(...minima) / 63);
  for (const [i, part] of parts.entries()) {
    const packed = [
      nearest(scales[i]!, scale, 0, 63),
      nearest(minima[i]!, minimum, 0, 63),
    ] as const;
    storePair(bytes, i, ...packed);
    const offset = minimum * packed[1];
    part.forEach((value, j) => {
      const quant = nearest(value + offset, scale * packed[0], 0, 15);
      bytes[16 + (i >> 1) * 32 + j]! |= quant << 4 * (i & 1);
    });
  }
}

function storePair(bytes: Uint8Array, part: number, scale: number, minimum: number): void {
  if (part < 4) {
    bytes[4 + part]! |= scale;
    bytes[8 + part]! |= minimum;
    return;
  }
  bytes[8 + part] = scale & 15 | (minimum & 15) << 4;
  bytes[part]! |= scale >> 4 << 6;
  bytes[4 + part]! |= minimum >> 4 << 6;
}

function encodeQ6K(x: Float32Array, bytes: Uint8Array): void {
  const parts = Array.from({ length: 16 }, (_, i) => x.subarray(i * 16, i * 16 + 16));
  const scales = parts.map((part) => largest(part) / 31);
  const scale = storeHalf(bytes, 208, Math.max(...scales) / 127);
  const packed = scales.map((value) => nearest(value, scale, -128, 127));
  bytes.set(packed, 192);
  x.forEach((value, i) => {
    const quant = nearest(value, scale * packed[i >> 4]!, -32, 31) + 32;
    const [side, part, column] = [i >> 7, i >> 5 & 3, i & 31];
    bytes[side * 64 + (part & 1) * 32 + column]! |= (quant & 15) << 4 * (part >> 1);
    bytes[128 + side * 32 + column]! |= quant >> 4 << 2 * part;
  });
}

function largest(x: Float32Array): number {
  return x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function nearest(value: number, scale: number, low: number, high: number): number {
  return scale === 0 ? 0 : Math.min(high, Math.max(low, Math.round(value / scale)));
}

/** Stores an f16 and returns the value that it became. */
function storeHalf(bytes: Uint8Array, at: number, value: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setFloat16(at, value, true);
  return view.getFloat16(at, true);
}
