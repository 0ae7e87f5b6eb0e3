import { z } from "zod";
import type { Step, StepResult } from "../../kernels/mod.ts";
import { reject } from "../../runtime/mod.ts";
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

/** Alternatives to a token. */
const mostAlternatives = 20;

/** Rounds of a step; those of the kernels, which edges do not load. */
const mostRounds = 16;

const replicaRequest = z.object({
  id: shortText,
  ids: int32s,
  promptLength: count,
  maxTokens: z.int().positive(),
  eosIds: z.array(tokenId).max(1024),
  sampling,
  alternatives: z.int().min(0).max(mostAlternatives),
}).refine(({ ids, promptLength }) => promptLength <= ids.length, {
  error: "must hold the whole prompt",
});

const sampledToken = z.object({
  id: tokenId,
  logprob,
  margin: logprob,
  entropy: logprob,
  top: z.array(z.object({ id: tokenId, logprob })).max(mostAlternatives).exactOptional(),
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
  rounds: z.int().min(1).max(mostRounds).exactOptional(),
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
  ({ ids, positions, sequences, pages, history }) =>
    [ids, positions, sequences, pages, history].every((list) => list.every((value) => value >= 0)),
  { error: "must hold no negative id, position, sequence, page or count" },
).refine(({ history }) => history.length % 2 === 0, {
  error: "must hold a count for each id of the history",
}).refine(
  ({ samples, integers, history }) =>
    everyRow(integers, samples, (row) => {
      const [first, pairs] = [integers[row + 3]!, integers[row + 4]!];
      return first >= 0 && pairs >= 0 && first + pairs <= history.length / 2;
    }),
  { error: "must draw each sample with a part of its own history" },
).refine(
  ({ samples, integers }) =>
    everyRow(integers, samples, (row) => {
      const [topK, alternatives] = [integers[row + 5]!, integers[row + 6]!];
      return topK >= 0 && alternatives >= 0 && alternatives <= mostAlternatives;
    }),
  { error: `must want from 0 to ${mostAlternatives} alternatives of each sample` },
);

/** Tests the sampler's integers sample by sample, by the place where those of each begin. */
function everyRow(integers: Int32Array, samples: number, test: (row: number) => boolean): boolean {
  const end = Math.min(8 * samples, integers.length - 7);
  for (let row = 0; row < end; row += 8) if (!test(row)) return false;
  return true;
}

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

/**
 * Checks what only a partition of the model knows, that a step names tokens of its vocabulary only: kernels look them
 * up without a check. Places in the cache are checked where they are written.
 */
export function checkVocabulary(step: Step, vocab: number): Step {
  const { tokens, ids, history } = step;
  for (let t = 0; t < tokens; t++) refuseStranger(ids[t] ?? 0, vocab);
  for (let pair = 0; pair < history.length; pair += 2) refuseStranger(history[pair]!, vocab);
  return step;
}

function refuseStranger(id: number, vocab: number): void {
  if (id < vocab) return;
  reject(`Cannot take a token outside a vocabulary of ${vocab}: ${id}`);
}

/** Checks what comes from the partition before. */
export const checkHiddenStates: Check<HiddenStates> = checkBy(hiddenStates);

/** Checks what the last partition answers. */
export const checkStepResult: Check<StepResult> = checkAnswerBy(stepResult);

/** Checks what an expert shard is asked to apply. */
export const checkShardRequest: Check<ShardRequest> = checkBy(shardRequest);

/** Checks what an expert shard answers. */
export const checkShardAnswer: Check<WireFloats> = checkAnswerBy(activations);
