import { z } from "zod";
import type { ExpertRequest, Step, StepResult } from "../../kernels/mod.ts";
import type { ReplicaRequest, SampledToken } from "../replica_protocol.ts";
import {
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
});

const step = z.object({
  tokens: count,
  samples: count,
  ids: int32s,
  positions: int32s,
  sequences: int32s,
  pages: int32s,
  indices: int32s,
  controls: float32s,
  integers: int32s,
  history: int32s,
  hidden: float32s.exactOptional(),
}).refine(
  ({ tokens, ids, positions, sequences }) =>
    [ids, positions, sequences].every((list) => list.length >= tokens),
  { error: "must hold an id, a position and a sequence for each token" },
).refine(
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
  hidden: float32s.exactOptional(),
});

const expertRequest = z.object({
  layer: count,
  tokens: count,
  x: float32s,
  experts: int32s,
  weights: float32s,
});

/** Checks what a replica is asked to generate. */
export const checkReplicaRequest: Check<ReplicaRequest> = checkBy(replicaRequest);

/** Checks what a replica streams back. */
export const checkSampledToken: Check<SampledToken> = checkAnswerBy(sampledToken);

/** Checks a step that a partition is asked to compute. */
export const checkStep: Check<Step> = checkBy(step);

/** Checks what a partition answers. */
export const checkStepResult: Check<StepResult> = checkAnswerBy(stepResult);

/** Checks what an expert shard is asked to apply. */
export const checkExpertRequest: Check<ExpertRequest> = checkBy(expertRequest);
