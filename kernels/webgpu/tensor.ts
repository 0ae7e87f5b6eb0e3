/** Handles of device memory. */
import type { DType, KvCacheSpec, Rows, TensorSpec } from "../backend.ts";
import { byteLength, elements } from "../dtype.ts";
import { KernelError } from "../errors.ts";
import type { GpuTensor, Shard } from "./dispatch.ts";
import { type GpuKvCache, type KvLayer, kvLayerBytes } from "./kv_cache.ts";
import type { Memory } from "./memory.ts";
import { shardBytes } from "./plans/mod.ts";

/** Bytes of a tensor that lie together in one buffer. */
export interface Piece {
  readonly buffer: GPUBuffer;
  /** Where in the buffer. */
  readonly at: number;
  /** Where in the range that was asked for. */
  readonly offset: number;
  readonly length: number;
}

/** What memory asks of tensors. */
export interface BindingLimits {
  /** Most bytes of a weight's shard. */
  readonly shardBytes: number;
  /** Most bytes of a buffer that kernels bind whole. */
  readonly bindingBytes: number;
}

/**
 * A tensor. The rows of a weight, or its matrices, are spread over as many buffers as the binding limit asks for; so
 * are the rows of a matrix that is too large by itself.
 */
export class DeviceTensor implements GpuTensor {
  readonly label: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly rows?: Rows;
  readonly byteLength: number;
  /** Values in it. */
  readonly size: number;
  /** Values of one row, the first dimension aside. */
  readonly width: number;
  readonly shards: readonly Shard[];
  readonly #rowBytes: number;
  /**
   * Open: may be loaded. Sealed: complete. Arranged: used as a weight, and no longer as it was loaded; arranging as long
   * as it is not known whether the device did that, and broken where it did not.
   */
  state: "open" | "sealed" | "arranging" | "arranged" | "broken" = "open";

  constructor(spec: TensorSpec, readonly owner: object, memory: Memory, limits: BindingLimits) {
    const { label, shape } = spec;
    if (shape.length === 0 || !shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
      throw new KernelError(
        "InvalidShape",
        `Cannot allocate ${label}: shape [${shape.join(", ")}]`,
      );
    }
    this.label = label;
    this.dtype = spec.dtype;
    this.shape = [...shape];
    if (spec.rows !== undefined) this.rows = spec.rows;
    this.size = elements(shape);
    this.width = this.size / shape[0]!;
    this.byteLength = byteLength(spec.dtype, shape);
    this.#rowBytes = this.byteLength / shape[0]!;
    const isWeight = spec.dtype !== "i32" && spec.rows === undefined && shape.length > 1;
    const places = isWeight
      ? placesOf(spec, limits)
      : [{ first: 0, count: shape[0]!, bytes: this.byteLength }];
    this.shards = places.map(({ bytes, ...place }) => {
      checkBinding(label, bytes, limits);
      return { ...place, buffer: memory.allocate(label, bytes) };
    });
  }

  /** What buffers hold of a byte range, in order. */
  *pieces(byteOffset: number, byteLength: number): Generator<Piece> {
    for (const { buffer, first, count, part } of this.shards) {
      const partBytes = this.#rowBytes / this.shape[1]!;
      const start = first * this.#rowBytes + (part ? part.first * partBytes : 0);
      const length = part ? part.count * partBytes : count * this.#rowBytes;
      const from = Math.max(byteOffset, start);
      const to = Math.min(byteOffset + byteLength, start + length);
      if (from < to) {
        yield { buffer, at: from - start, offset: from - byteOffset, length: to - from };
      }
    }
  }
}

function checkBinding(label: string, bytes: number, { bindingBytes }: BindingLimits): void {
  if (bytes <= bindingBytes) return;
  throw new KernelError(
    "OutOfMemory",
    `Cannot allocate ${label}, kernels see at most ${bindingBytes} bytes at once: ${bytes}`,
  );
}

/** What a buffer holds of a weight, and its bytes. */
type Place = Omit<Shard, "buffer"> & { readonly bytes: number };

/** As few buffers as there may be: of whole rows or matrices, or of rows of one matrix each. */
function placesOf({ dtype, shape }: TensorSpec, limits: BindingLimits): Place[] {
  const bytesOf = (count: number) => shardBytes(dtype, shape, count);
  if (shape.length < 3 || bytesOf(1) <= limits.shardBytes) {
    return split(shape[0]!, limits.shardBytes / bytesOf(1))
      .map((place) => ({ ...place, bytes: bytesOf(place.count) }));
  }
  const partBytes = (count: number) => shardBytes(dtype, shape.slice(1), count);
  const parts = split(shape[1]!, limits.shardBytes / partBytes(1));
  return Array.from(
    { length: shape[0]! },
    (_, first) => parts.map((part) => ({ first, count: 1, part, bytes: partBytes(part.count) })),
  ).flat();
}

/** Equal runs of at most `limit` rows; whole tiles of 64 where there are so many. */
function split(rows: number, limit: number): { first: number; count: number }[] {
  const most = Math.max(1, Math.floor(limit));
  if (rows <= most) return [{ first: 0, count: rows }];
  const tile = most >= 64 ? 64 : 1;
  const shards = Math.ceil(rows / (Math.floor(most / tile) * tile));
  const each = Math.ceil(Math.ceil(rows / shards) / tile) * tile;
  return Array.from({ length: Math.ceil(rows / each) }, (_, i) => ({
    first: i * each,
    count: Math.min(each, rows - i * each),
  }));
}

/** A KV cache; {@link GpuKvCache} says how it lies in its buffers. */
export class DeviceKvCache implements GpuKvCache {
  readonly layers: readonly KvLayer[];
  readonly byteLength: number;

  constructor(
    readonly spec: KvCacheSpec,
    readonly owner: object,
    memory: Memory,
    limits: BindingLimits,
  ) {
    const sizes = [spec.layers, spec.pages, spec.pageSize, spec.kvHeads, spec.headDim];
    if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0)) {
      throw new KernelError("InvalidShape", `Cannot allocate a KV cache: ${JSON.stringify(spec)}`);
    }
    const bytes = kvLayerBytes(spec);
    checkBinding("the keys of a layer", bytes, limits);
    const allocate = () => memory.allocate("the KV cache", bytes);
    this.layers = Array.from(
      { length: spec.layers },
      () => ({ keys: allocate(), values: allocate() }),
    );
    this.byteLength = 2 * spec.layers * bytes;
  }
}
