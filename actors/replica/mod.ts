/**
 * Replicas: a scheduler of continuous batching over a paged KV cache, and the partitions that compute.
 * @module
 */
export { type Batch, Batcher } from "./batch.ts";
export { PagePool, type PageTable } from "./pages.ts";
export {
  definePartition,
  definePartitionOf,
  type LoadedPartition,
  type LoadPartition,
  type PartitionArgs,
} from "./partition.ts";
export type { PrefixNode } from "./prefix_cache.ts";
export { type ReplicaLimits, stepCapacity } from "./limits.ts";
export { Replica, type ReplicaArgs } from "./replica.ts";
export { Scheduler, type SchedulerLimits } from "./scheduler.ts";
export { Sequence, type TokenSink } from "./sequence.ts";
export type { Cancellable } from "./turns.ts";
