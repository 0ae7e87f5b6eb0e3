/** What a level's replicas need: bounds, bytes, and how finely they must be cut. */
import type { KvDType } from "../../kernels/mod.ts";
import type { LevelConfig } from "../config/mod.ts";
import type { ModelFacts } from "../node_protocol.ts";
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

/** Bytes of a cache, as a share of those in `f32`; `int8` with a scale for every 32 elements. */
const kvShare: Readonly<Record<KvDType, number>> = { f32: 1, f16: 1 / 2, int8: 9 / 32 };

/** A level that cannot be laid out, in one line. */
export class LayoutError extends Error {
  /** Its class. */
  override readonly name = "LayoutError";
}

/** What replicas of a level are made of, wherever they are. */
export interface Layout {
  /** Bounds of each replica. */
  readonly limits: ReplicaLimits;
  /** How keys and values are stored. */
  readonly kvDtype: KvDType;
  /** Partitions that a replica is to be spread over, if there are so many devices. */
  readonly partitions: number;
  /** The most layers that one partition in a WebAssembly memory can hold; 0 = not even one. */
  readonly partitionLayers: number;
  /** Device memory of one layer with its share of the cache, in bytes; without experts that are in shards. */
  readonly layerBytes: number;
  /** Device memory of one expert over all layers, in bytes. */
  readonly expertBytes: number;
  /** Device memory of a whole replica, in bytes, as far as it is known beforehand. */
  readonly bytes: number;
}

/** Lays a level out. Throws `LayoutError` when it cannot be, with the numbers. */
export function layOut(level: LevelConfig, model: ModelFacts): Layout {
  checkPartitions(level, model);
  checkShards(level, model);
  const { kvDtype = "f16" } = level;
  const tokenBytes = model.tokenBytes * kvShare[kvDtype];
  const limits = cacheLimits(level, { ...model, tokenBytes });
  const cacheBytes = limits.pages * PAGE_SIZE * tokenBytes;
  const weightBytes = weightsInPartitions(level, model);
  return {
    limits,
    kvDtype,
    partitions: partitionCount(level),
    partitionLayers: mostLayers(weightBytes, model),
    layerBytes: (weightBytes + cacheBytes) / model.layers,
    expertBytes: model.expertBytes,
    bytes: model.weightBytes + cacheBytes,
  };
}

/** How many expert shards a level asks for. */
export function shardCount({ expertShards }: LevelConfig): number {
  return typeof expertShards === "number" ? expertShards : expertShards.length;
}

function partitionCount({ partitions }: LevelConfig): number {
  return typeof partitions === "number" ? partitions : partitions.length;
}

function weightsInPartitions(level: LevelConfig, model: ModelFacts): number {
  return model.weightBytes - (shardCount(level) > 0 ? model.experts * model.expertBytes : 0);
}

function mostLayers(weightBytes: number, { layers }: ModelFacts): number {
  return Math.min(layers, Math.floor(PARTITION_BYTES * WEIGHT_SHARE / (weightBytes / layers)));
}

function checkPartitions(level: LevelConfig, model: ModelFacts): void {
  const count = partitionCount(level);
  if (count > model.layers) {
    throw new LayoutError(
      `Cannot cut ${level.name} of ${model.layers} layers into partitions: ${count}`,
    );
  }
  if (typeof level.partitions === "number") return;
  const total = level.partitions.reduce((sum, { layers }) => sum + layers, 0);
  if (total === model.layers) return;
  throw new LayoutError(
    `Cannot cut ${level.name} of ${model.layers} layers into partitions of layers in all: ${total}`,
  );
}

function checkShards({ name, expertShards }: LevelConfig, { experts }: ModelFacts): void {
  if (typeof expertShards === "number") {
    if (expertShards <= experts) return;
    throw new LayoutError(
      `Cannot spread ${experts} experts of ${name} over shards: ${expertShards}`,
    );
  }
  if (expertShards.length === 0) return;
  const held = new Set(expertShards.flatMap((shard) => shard.experts));
  const strange = [...held].find((expert) => expert >= experts);
  if (strange !== undefined) {
    throw new LayoutError(`Cannot find among the ${experts} experts of ${name}: ${strange}`);
  }
  if (held.size === experts) return;
  throw new LayoutError(`Cannot leave out any of ${experts} experts of ${name}: ${held.size} held`);
}

function cacheLimits(level: LevelConfig, model: ModelFacts): ReplicaLimits {
  const wanted = Math.min(level.context ?? model.maxPositions, model.maxPositions);
  const perSequence = Math.ceil(wanted / PAGE_SIZE);
  const cache = level.kvCache ?? DEFAULT_CACHE_BYTES;
  const affordable = Math.floor(cache / (PAGE_SIZE * model.tokenBytes));
  const pages = Math.min(affordable, SEQUENCES * perSequence);
  const isShort = pages < perSequence;
  if (pages < 1 || (isShort && level.context !== undefined)) {
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
