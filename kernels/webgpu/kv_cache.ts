/** The paged KV cache in device memory. */
import { KV_BLOCK, type KvCache, type KvCacheSpec, type KvDType } from "../backend.ts";
import type { Defines } from "./dispatch.ts";

/** Keys and values of one layer. */
export interface KvLayer {
  /**
   * `[page][kvHead][slot][stride]`: vec4<f32>, or vec4<u32> of packed halves (`pack2x16float`) for f16, or u32 of
   * four integers, after which each slot has the scales of its blocks.
   */
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
  const slotBytes = dtype === "int8" ? 4 * slotWords(spec) : kvStride(spec) * kvElementBytes[dtype];
  return pages * kvHeads * pageSize * slotBytes;
}

/** Bytes of an element, its share of a scale included. */
export const kvElementBytes: Readonly<Record<KvDType, number>> = {
  f32: 4,
  f16: 2,
  int8: 1 + 4 / KV_BLOCK,
};

/** What kernels need to know of how elements are stored. */
export function storedDefines(spec: KvCacheSpec): Defines {
  return {
    HALVES: spec.dtype === "f16",
    INTEGERS: spec.dtype === "int8",
    SLOT_WORDS: `${slotWords(spec)}u`,
  };
}

/** Words of a slot of integers: four each, then the scales of its blocks. */
function slotWords(spec: KvCacheSpec): number {
  return kvStride(spec) / 4 + Math.ceil(kvStride(spec) / KV_BLOCK);
}
