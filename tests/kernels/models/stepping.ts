/** Runs steps through partitions as plainly as can be. */
import {
  type Capacity,
  createStep,
  type ModelPartition,
  type StepBuffer,
  type StepResult,
} from "../../../kernels/models/mod.ts";

/** A token of a step. */
export interface Token {
  readonly sequence: number;
  readonly position: number;
  readonly id: number;
}

/** A greedy step of these tokens in which those of `sampled`, by index, are sampled. */
export function greedyStep(
  capacity: Capacity,
  pages: readonly (readonly number[])[],
  tokens: readonly Token[],
  sampled: readonly number[],
): StepBuffer {
  const step = createStep(capacity);
  step.history = new Int32Array(0);
  step.tokens = tokens.length;
  step.samples = sampled.length;
  step.ids.set(tokens.map(({ id }) => id));
  step.positions.set(tokens.map(({ position }) => position));
  step.sequences.set(tokens.map(({ sequence }) => sequence));
  pages.forEach((list, sequence) => step.pages.set(list, sequence * capacity.sequencePages));
  step.indices.set(sampled);
  for (let s = 0; s < sampled.length; s++) step.controls.set([0, 1, 0, 1, 0, 0, 0, 0], s * 8);
  return step;
}

/** Runs a step through all partitions of a model. */
export async function runStep(
  partitions: readonly ModelPartition[],
  step: StepBuffer,
): Promise<StepResult> {
  let result = await partitions[0]!.step(step);
  for (const partition of partitions.slice(1)) {
    result = await partition.step({ ...step, ...(result.hidden && { hidden: result.hidden }) });
  }
  return result;
}
