/** The quantised blocks of ggml, as float32. A block's values are small integers times its own scales. */

/** Dtypes stored in blocks with scales. */
export type QuantisedDType = "q8_0" | "q4_0" | "q4_k" | "q6_k";

/** Writes the values of the block at `at` to `out`. */
type Decoder = (bytes: Uint8Array, at: number, out: Float32Array) => void;

const decoders: Readonly<
  Record<QuantisedDType, { elements: number; bytes: number; decode: Decoder }>
> = {
  q8_0: { elements: 32, bytes: 34, decode: decodeQ8_0 },
  q4_0: { elements: 32, bytes: 18, decode: decodeQ4_0 },
  q4_k: { elements: 256, bytes: 144, decode: decodeQ4K },
  q6_k: { elements: 256, bytes: 210, decode: decodeQ6K },
};

/** The values of whole blocks. */
export function dequantise(dtype: QuantisedDType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const block = decoders[dtype];
  const count = Math.floor(bytes.length / block.bytes);
  const values = new Float32Array(count * block.elements);
  for (let i = 0; i < count; i++) {
    const out = values.subarray(i * block.elements, (i + 1) * block.elements);
    block.decode(bytes, i * block.bytes, out);
  }
  return values;
}

/** f16 scale, 32 signed bytes. */
function decodeQ8_0(bytes: Uint8Array, at: number, out: Float32Array): void {
  const scale = half(bytes, at);
  for (let i = 0; i < 32; i++) out[i] = scale * signed(bytes[at + 2 + i]!);
}

/** f16 scale, 16 bytes: elements 0 to 15 in the low nibbles, 16 to 31 in the high ones, biased by 8. */
function decodeQ4_0(bytes: Uint8Array, at: number, out: Float32Array): void {
  const scale = half(bytes, at);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    out[i] = scale * ((pair & 15) - 8);
    out[i + 16] = scale * ((pair >> 4) - 8);
  }
}

/**
 * f16 scale, f16 minimum, 8 pairs of a 6-bit scale and a 6-bit minimum in 12 bytes, 128 bytes: of each 32,
 * the low nibbles are one part of 32 elements, the high nibbles the next.
 */
function decodeQ4K(bytes: Uint8Array, at: number, out: Float32Array): void {
  const [scale, minimum] = [half(bytes, at), half(bytes, at + 2)];
  for (let part = 0; part < 8; part++) {
    const packed = scaleAndMinimum(bytes, at + 4, part);
    const [partScale, partMinimum] = [scale * packed.scale, minimum * packed.minimum];
    const from = at + 16 + (part >> 1) * 32;
    for (let i = 0; i < 32; i++) {
      const nibble = bytes[from + i]! >> 4 * (part & 1) & 15;
      out[part * 32 + i] = Math.fround(partScale) * nibble - Math.fround(partMinimum);
    }
  }
}

/** Parts 0 to 3 have bytes of their own; the last four share nibbles and the others' two high bits. */
function scaleAndMinimum(
  bytes: Uint8Array,
  at: number,
  part: number,
): { scale: number; minimum: number } {
  if (part < 4) return { scale: bytes[at + part]! & 63, minimum: bytes[at + part + 4]! & 63 };
  const shared = bytes[at + part + 4]!;
  return {
    scale: shared & 15 | bytes[at + part - 4]! >> 6 << 4,
    minimum: shared >> 4 | bytes[at + part]! >> 6 << 4,
  };
}

/**
 * 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales of 16 elements each, f16 scale. Each
 * half of 128 elements is four parts of 32: parts 0 and 1 low nibbles, 2 and 3 high ones; biased by 32.
 */
function decodeQ6K(bytes: Uint8Array, at: number, out: Float32Array): void {
  const scale = half(bytes, at + 208);
  for (let i = 0; i < 256; i++) {
    const [side, part, column] = [i >> 7, i >> 5 & 3, i & 31];
    const low = bytes[at + side * 64 + (part & 1) * 32 + column]! >> 4 * (part >> 1) & 15;
    const high = bytes[at + 128 + side * 32 + column]! >> 2 * part & 3;
    out[i] = scale * signed(bytes[at + 192 + (i >> 4)]!) * ((low | high << 4) - 32);
  }
}

function signed(byte: number): number {
  return byte << 24 >> 24;
}

function half(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat16(at, true);
}
