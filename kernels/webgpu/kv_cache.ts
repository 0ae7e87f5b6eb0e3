/** The paged KV cache in device memory. */
import type { KvCache, KvCacheSpec } from "../backend.ts";

/** Keys and values of one layer. */
export interface KvLayer {
  /** `[page][kvHead][slot][stride]`: vec4<f32>, or vec4<u32> of packed halves (`pack2x16float`) for f16. */
  readonly keys: GPUBuffer;
  /** As `keys`. */
  readonly values: GPUBuffer;
}

/**
 * A paged cache of this backend: a buffer of keys and one of values a layer. Within a page the slots of one
 * head lie side by side, so that a head's keys stream; a slot is padded with zeros to whole vectors of both
 * dtypes, so that kernels load nothing narrower.
 */
export interface GpuKvCache extends KvCache {
  /** By layer of the cache. */
  readonly layers: readonly KvLayer[];
}

/** Elements from one slot to the next: `headDim` rounded up to 8. Those beyond `headDim` stay zero. */
export function kvStride({ headDim }: Pick<KvCacheSpec, "headDim">): number {
  return Math.ceil(headDim / 8) * 8;
}

/** Bytes of the keys, or of the values, of one layer. */
export function kvLayerBytes(spec: KvCacheSpec): number {
  const { pages, kvHeads, pageSize, dtype } = spec;
  return pages * kvHeads * pageSize * kvStride(spec) * (dtype === "f16" ? 2 : 4);
}
