/** A greedy decoder over model partitions, as plain as can be: what tests compare ids with. */
import type { ModelPartition } from "../../../kernels/models/mod.ts";
import { greedyStep, runStep, type Token } from "./stepping.ts";

const capacity = { tokens: 64, samples: 32, sequences: 32, sequencePages: 14, history: 1 };
const pageCount = capacity.sequences * capacity.sequencePages;

/** How the partitions of the tests are placed; 224 positions a sequence. */
export const placement = { capacity, pages: pageCount, pageSize: 16 } as const;

/** Page tables in which neighbours in a sequence lie apart; 5 has no factor in common with the count. */
const pageTables = Array.from(
  { length: capacity.sequences },
  (_, sequence) =>
    Array.from(
      { length: capacity.sequencePages },
      (_, page) => (sequence * capacity.sequencePages + page) * 5 % pageCount,
    ),
);

/** Decodes `steps` ids greedily after `prompt`, fed in chunks of at most `chunk` tokens. */
export async function greedy(
  partitions: readonly ModelPartition[],
  prompt: readonly number[],
  steps: number,
  chunk: number = capacity.tokens,
): Promise<number[]> {
  const [ids] = await greedyBatch(partitions, [prompt], steps, chunk);
  return ids!;
}

/**
 * Decodes `steps` ids greedily after each of up to 32 prompts in one batch: a step takes at most `budget`
 * tokens, so that some sequences decode while others are still being fed. Steps in which all decode are computed in
 * `rounds`.
 */
export async function greedyBatch(
  partitions: readonly ModelPartition[],
  prompts: readonly (readonly number[])[],
  steps: number,
  budget: number = capacity.tokens,
  rounds = 1,
): Promise<number[][]> {
  const known = prompts.map((prompt) => [...prompt]);
  const fed = prompts.map(() => 0);
  const length = (sequence: number) => prompts[sequence]!.length + steps;
  for (;;) {
    const tokens = nextTokens(known, fed, length, budget);
    if (tokens.length === 0) return known.map((ids, i) => ids.slice(prompts[i]!.length));
    for (const { sequence } of tokens) fed[sequence]!++;
    const sampled = [...tokens.keys()].filter((i) =>
      tokens[i]!.position === known[tokens[i]!.sequence]!.length - 1
    );
    const step = greedyStep(capacity, pageTables, tokens, sampled);
    const left = tokens.map(({ sequence, position }) => length(sequence) - 1 - position);
    if (sampled.length === tokens.length) step.rounds = Math.min(rounds, ...left);
    const result = await runStep(partitions, step);
    result.sampled.forEach((id, row) => {
      const { sequence } = tokens[sampled[row % sampled.length]!]!;
      known[sequence]!.push(id);
      if (row >= sampled.length) fed[sequence]!++;
    });
  }
}

/** What each unfinished sequence still has to feed, first sequence first. */
function nextTokens(
  known: readonly (readonly number[])[],
  fed: readonly number[],
  length: (sequence: number) => number,
  budget: number,
): Token[] {
  return known.flatMap((ids, sequence) => {
    if (ids.length >= length(sequence)) return [];
    const from = fed[sequence]!;
    return ids.slice(from).map((id, i) => ({ sequence, position: from + i, id }));
  }).slice(0, budget);
}
