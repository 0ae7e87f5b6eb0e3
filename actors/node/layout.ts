/** How a level is laid out on a device: partitions, pages, expert shards. */
import type { LevelConfig } from "../config/mod.ts";
import type { ModelSpec, Range } from "../../kernels/mod.ts";
import type { ReplicaLimits } from "../replica/mod.ts";

/** Tokens a page of the KV cache. */
const PAGE_SIZE = 16;

/** Tokens a step: bounds how long a prefill chunk delays the decodes that run with it. */
const STEP_TOKENS = 256;

/** Sequences that run together. */
const SEQUENCES = 64;

/** Requests that wait before more are refused. */
const WAITING = 1024;

/** Bytes of one WebAssembly memory, the most that a partition can address. */
export const PARTITION_BYTES = 2 ** 32 - 2 ** 16;

/** Share of a partition's memory that weights may take; the rest is for the cache and activations. */
const WEIGHT_SHARE = 0.85;

/** KV cache of a replica that nobody sized, at most. */
const DEFAULT_CACHE_BYTES = 2 ** 30;

/** A replica's layout. */
export interface Layout {
  /** Bounds of each replica. */
  readonly limits: ReplicaLimits;
  /** Layers of each partition. */
  readonly partitions: readonly Range[];
  /** Experts of each shard; empty = the partitions hold them. */
  readonly expertShards: readonly Range[];
  /** Device memory that one replica takes, in bytes, as far as it is known beforehand. */
  readonly bytes: number;
}

/** A level that cannot be laid out, in one line. */
export class LayoutError extends Error {
  /** Its class. */
  override readonly name = "LayoutError";
}

/** Lays a level out. Throws `LayoutError` when it cannot fit, with the numbers. */
export function layOut(level: LevelConfig, spec: ModelSpec, weightBytes: number): Layout {
  const least = Math.ceil(weightBytes / (PARTITION_BYTES * WEIGHT_SHARE));
  const partitions = Math.max(level.partitions, least);
  if (partitions > spec.layers) {
    throw new LayoutError(
      `Cannot cut ${level.name} of ${spec.layers} layers into partitions: ${partitions}`,
    );
  }
  const experts = spec.mixture?.experts ?? 0;
  if (level.expertShards > experts) {
    throw new LayoutError(
      `Cannot spread ${experts} experts of ${level.name} over shards: ${level.expertShards}`,
    );
  }
  const limits = cacheLimits(level, spec);
  const cacheBytes = limits.pages * pageBytes(spec);
  return {
    limits,
    partitions: split(spec.layers, partitions),
    expertShards: split(experts, level.expertShards),
    bytes: weightBytes + cacheBytes,
  };
}

/** Bytes of one page over all layers, keys and values in float32. */
function pageBytes({ layers, kvHeads, headDim }: ModelSpec): number {
  return layers * 2 * PAGE_SIZE * kvHeads * headDim * 4;
}

function cacheLimits(level: LevelConfig, spec: ModelSpec): ReplicaLimits {
  const wanted = Math.min(level.context ?? spec.maxPositions, spec.maxPositions);
  const perSequence = Math.ceil(wanted / PAGE_SIZE);
  const affordable = Math.floor((level.kvCache ?? DEFAULT_CACHE_BYTES) / pageBytes(spec));
  const pages = Math.min(affordable, SEQUENCES * perSequence);
  const isShort = pages < perSequence;
  if (pages < 1 || (isShort && level.context !== undefined)) {
    const cache = level.kvCache ?? DEFAULT_CACHE_BYTES;
    throw new LayoutError(
      `Cannot hold ${wanted} tokens of ${level.name} in a KV cache of bytes: ${cache}`,
    );
  }
  return {
    tokens: STEP_TOKENS,
    sequences: SEQUENCES,
    waiting: WAITING,
    context: isShort ? pages * PAGE_SIZE : wanted,
    pages,
    pageSize: PAGE_SIZE,
  };
}

/** Cuts `0..total-1` into `parts` ranges whose sizes differ by at most one. */
export function split(total: number, parts: number): Range[] {
  return Array.from({ length: parts }, (_, i) => {
    const first = Math.floor(i * total / parts);
    return { first, count: Math.floor((i + 1) * total / parts) - first };
  });
}
