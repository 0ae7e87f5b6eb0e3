import { z } from "zod";
import { MOST_ROUNDS, type StepResult } from "../../kernels/mod.ts";
import type {
  HiddenStates,
  PartitionStep,
  ReplicaRequest,
  SampledToken,
  ShardRequest,
  WireFloats,
} from "../replica_protocol.ts";
import {
  activations,
  type Check,
  checkAnswerBy,
  checkBy,
  count,
  float32s,
  int32s,
  logprob,
  sampling,
  shortText,
  tokenId,
} from "./check.ts";

const replicaRequest = z.object({
  id: shortText,
  ids: int32s,
  promptLength: count,
  maxTokens: z.int().positive(),
  eosIds: z.array(tokenId).max(1024),
  sampling,
  alternatives: z.int().min(0).max(20),
}).refine(({ ids, promptLength }) => promptLength <= ids.length, {
  error: "must hold the whole prompt",
});

const sampledToken = z.object({
  id: tokenId,
  logprob,
  margin: logprob,
  entropy: logprob,
  top: z.array(z.object({ id: tokenId, logprob })).max(20).exactOptional(),
  finish: z.enum(["stop", "length"]).exactOptional(),
  queue: count.exactOptional(),
});

const step = z.object({
  tokens: count,
  samples: count,
  ids: int32s,
  positions: int32s,
  sequences: int32s,
  tables: count,
  pages: int32s,
  indices: int32s,
  controls: float32s,
  integers: int32s,
  history: int32s,
  rounds: z.int().min(1).max(MOST_ROUNDS).exactOptional(),
}).refine(
  ({ tokens, positions, sequences }) =>
    [positions, sequences].every((list) => list.length >= tokens),
  { error: "must hold a position and a sequence for each token" },
).refine(({ sequences, tables }) => sequences.every((row) => row < tables), {
  error: "must hold a page table for each sequence",
}).refine(
  ({ samples, indices, controls, integers }) =>
    indices.length >= samples && controls.length >= 8 * samples && integers.length >= 8 * samples,
  { error: "must hold an index and the controls of each sample" },
).refine(
  ({ tokens, samples, indices }) =>
    indices.subarray(0, samples).every((index) => index >= 0 && index < tokens),
  { error: "must draw samples from its own tokens" },
).refine(
  ({ positions, sequences, pages }) =>
    [positions, sequences, pages].every((list) => list.every((value) => value >= 0)),
  { error: "must hold no negative position, sequence or page" },
);

const stepResult = z.object({
  sampled: int32s,
  stats: float32s,
  topTokens: int32s.exactOptional(),
  topLogprobs: float32s.exactOptional(),
});

const partitionStep = z.object({ id: shortText, step, next: z.string().max(512).exactOptional() });

const hiddenStates = z.object({ id: shortText, hidden: activations });

const shardRequest = z.object({
  layer: count,
  tokens: count,
  x: activations,
  experts: int32s,
  weights: float32s,
});

/** Checks what a replica is asked to generate. */
export const checkReplicaRequest: Check<ReplicaRequest> = checkBy(replicaRequest);

/** Checks what a replica streams back. */
export const checkSampledToken: Check<SampledToken> = checkAnswerBy(sampledToken);

/** Checks a step that a partition is asked to compute. */
export const checkPartitionStep: Check<PartitionStep> = checkBy(partitionStep);

/** Checks what comes from the partition before. */
export const checkHiddenStates: Check<HiddenStates> = checkBy(hiddenStates);

/** Checks what the last partition answers. */
export const checkStepResult: Check<StepResult> = checkAnswerBy(stepResult);

/** Checks what an expert shard is asked to apply. */
export const checkShardRequest: Check<ShardRequest> = checkBy(shardRequest);

/** Checks what an expert shard answers. */
export const checkShardAnswer: Check<WireFloats> = checkAnswerBy(activations);
