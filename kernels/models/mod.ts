/**
 * Models: the facts of a configuration, the weights of a checkpoint, and graphs that run on any backend.
 * @module
 */
export {
  type Architecture,
  type MixtureSpec,
  type ModelSpec,
  parseModelSpec,
  type RotaryScaling,
} from "./spec.ts";
export {
  checkpointBytes,
  type ExpertRequest,
  ModelPartition,
  type PartitionOptions,
  type RemoteExperts,
} from "./partition.ts";
export { ExpertShard, type ExpertShardOptions } from "./expert_shard.ts";
export type { Capacity } from "./graph.ts";
export { createStep, type Step, type StepBuffer, type StepResult } from "./step.ts";
export type { LoadProgress, Range } from "./weights.ts";
