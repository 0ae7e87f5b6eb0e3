import type { Dtype } from "./tensors.ts";

/** Decodes little-endian numbers to float32. */
export function toFloat32(bytes: Uint8Array, dtype: Dtype): Float32Array {
  const buffer = bytes.slice().buffer;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return Float32Array.from(new Float16Array(buffer));
    case "BF16":
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (x) => x << 16).buffer);
  }
}
