/** The paged KV cache: per layer one buffer of keys and one of values. */
import type { KvCache, KvCacheSpec } from "../backend.ts";
import { blocks } from "../dtype.ts";
import { KernelError } from "../errors.ts";

/**
 * Keys and values of a range of layers. Each buffer holds `[page][kvHead][slot][headDim]`, so that the slots of
 * one head are contiguous within a page; `f16` elements lie in pairs in `u32` words, the even one low.
 */
export class GpuKvCache implements KvCache {
  readonly spec: KvCacheSpec;
  readonly owner: object;
  /** Bytes of one buffer. */
  readonly bufferBytes: number;
  /** Keys, a buffer a layer. */
  readonly keys: readonly GPUBuffer[];
  /** Values, a buffer a layer. */
  readonly values: readonly GPUBuffer[];

  constructor(spec: KvCacheSpec, owner: object, allocate: (bytes: number) => GPUBuffer) {
    const { layers, pages, pageSize, kvHeads, headDim, dtype } = spec;
    const sizes = [layers, pages, pageSize, kvHeads, headDim];
    if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0)) {
      throw new KernelError("InvalidShape", `Cannot allocate a KV cache: ${JSON.stringify(spec)}`);
    }
    this.spec = spec;
    this.owner = owner;
    this.bufferBytes = pages * kvHeads * pageSize * headDim * blocks[dtype].bytes;
    const buffers = () => Array.from({ length: layers }, () => allocate(this.bufferBytes));
    this.keys = buffers();
    this.values = buffers();
  }

  get byteLength(): number {
    return 2 * this.spec.layers * this.bufferBytes;
  }
}
