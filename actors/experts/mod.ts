/**
 * Expert shards: some experts of a mixture, held by actors of their own, and how partitions ask them.
 * @module
 */
export type { ExpertHolder } from "./places.ts";
export { askShards, type ShardedLayers } from "./sharded_experts.ts";
export { defineExpertShard, type ExpertShardArgs } from "./shard.ts";
