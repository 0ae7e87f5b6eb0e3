/**
 * Replicas: a scheduler of continuous batching over a paged KV cache, and the partitions that compute.
 * @module
 */
export { definePartition, type Device, type PartitionArgs } from "./partition.ts";
export { Replica, type ReplicaArgs, type ReplicaLimits, stepCapacity } from "./replica.ts";
