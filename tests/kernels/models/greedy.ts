/** A greedy decoder over model partitions, as plain as can be: what tests compare ids with. */
import { createStep, type ModelPartition } from "../../../kernels/models/mod.ts";

/** Capacities that the tests use. */
export const testCapacity = {
  tokens: 64,
  samples: 33,
  sequences: 33,
  sequencePages: 40,
  history: 64,
};

/** Decodes `steps` ids greedily after `prompt`, feeding the prompt in chunks of `chunk` tokens. */
export async function greedy(
  partitions: readonly ModelPartition[],
  prompt: readonly number[],
  steps: number,
  chunk = 64,
): Promise<number[]> {
  const step = createStep(testCapacity);
  step.pages.set(Array.from({ length: testCapacity.sequencePages }, (_, i) => i));
  step.history = new Int32Array(0);
  const ids: number[] = [];
  let pending = [...prompt];
  let position = 0;
  while (ids.length < steps) {
    const now = pending.splice(0, chunk);
    step.tokens = now.length;
    step.samples = pending.length === 0 ? 1 : 0;
    step.ids.set(now);
    step.positions.set(now.map((_, i) => position + i));
    step.indices[0] = now.length - 1;
    step.controls.set([0, 1, 0, 1, 0, 0, 0, 0]);
    const result = await runAll(partitions, step);
    position += now.length;
    if (step.samples === 0) continue;
    ids.push(result.sampled[0]!);
    pending = [result.sampled[0]!];
  }
  return ids;
}

async function runAll(partitions: readonly ModelPartition[], step: ReturnType<typeof createStep>) {
  let result = await partitions[0]!.step(step);
  for (const partition of partitions.slice(1)) {
    result = await partition.step({ ...step, ...(result.hidden && { hidden: result.hidden }) });
  }
  return result;
}
