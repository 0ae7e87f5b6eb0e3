/**
 * Replicas: a scheduler of continuous batching over a paged KV cache, and the partitions that compute.
 * @module
 */
export { fillStep, type Sampled } from "./batch.ts";
export { PagePool, type PageTable } from "./pages.ts";
export { definePartition, type PartitionArgs } from "./partition.ts";
export type { PrefixNode } from "./prefix_cache.ts";
export { Replica, type ReplicaArgs, type ReplicaLimits, stepCapacity } from "./replica.ts";
export { type Chunk, Scheduler, type SchedulerLimits } from "./scheduler.ts";
export { Sequence, type TokenSink } from "./sequence.ts";
