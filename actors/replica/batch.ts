import type { StepBuffer } from "../../kernels/mod.ts";
import type { Chunk } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

/** A row of the sampler and the sequence it is for. */
export type Sampled = Chunk;

/** Writes the chunks of a plan into a step; returns those that sample, in row order. */
export function fillStep(
  step: StepBuffer,
  chunks: readonly Chunk[],
  sequencePages: number,
): Sampled[] {
  const sampled: Sampled[] = [];
  const history: number[] = [];
  let token = 0;
  for (const chunk of chunks) {
    const { sequence, count } = chunk;
    step.pages.set(sequence.table.pages, sequence.slot * sequencePages);
    for (let i = 0; i < count; i++, token++) {
      const position = sequence.computed + i;
      step.ids[token] = sequence.id(position);
      step.positions[token] = position;
      step.sequences[token] = sequence.slot;
    }
    if (count < sequence.pending) continue;
    step.indices[sampled.length] = token - 1;
    fillSampler(step, sampled.length, sequence, history);
    sampled.push(chunk);
  }
  step.tokens = token;
  step.samples = sampled.length;
  step.history = Int32Array.from(history);
  return sampled;
}

/** Writes one row of the sampler; appends the sequence's history pairs. */
function fillSampler(step: StepBuffer, row: number, sequence: Sequence, history: number[]): void {
  const { sampling, alternatives } = sequence.request;
  step.controls.set([
    sampling.temperature,
    sampling.topP,
    sampling.minP,
    sampling.repetitionPenalty,
    sampling.presencePenalty,
    sampling.frequencyPenalty,
    0,
    0,
  ], row * 8);
  const first = history.length / 2;
  for (const [id, count] of sequence.counts ?? []) history.push(id, count);
  step.integers.set([
    sampling.seed % 2 ** 32 | 0,
    Math.floor(sampling.seed / 2 ** 32) | 0,
    sequence.length,
    first,
    history.length / 2 - first,
    sampling.topK,
    alternatives,
    0,
  ], row * 8);
}
