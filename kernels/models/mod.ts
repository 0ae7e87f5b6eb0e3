/**
 * Models: the facts of a configuration, the weights of a checkpoint, and graphs that run on any backend.
 * @module
 */
export type { Architecture, MixtureSpec, ModelSpec, RotaryScaling } from "./spec.ts";
export { parseModelSpec } from "./parse_spec.ts";
export { ModelPartition } from "./partition.ts";
export type { ExpertRequest, PartitionOptions, RemoteExperts } from "./partition_options.ts";
export { type ExpertHolding, ExpertShard, type ExpertShardOptions } from "./expert_shard.ts";
export type { Capacity } from "./activations.ts";
export { createStep, MOST_ROUNDS, type Step, type StepBuffer, type StepResult } from "./step.ts";
export { checkpointBytes, type LoadProgress } from "./weight_loader.ts";
export type { Range } from "./weights.ts";
