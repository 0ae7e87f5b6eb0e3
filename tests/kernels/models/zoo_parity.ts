/** Compares a backend's logits with those recorded for the zoo. */
import { openModelFolder } from "../../../kernels/formats/mod.ts";
import type { Backend } from "../../../kernels/backend.ts";
import { createStep, ModelPartition, parseModelSpec } from "../../../kernels/models/mod.ts";

/** Three prompts a level with the float32 logits of every position. */
interface ParityCase {
  readonly prompt: string;
  readonly input_ids: readonly number[];
  readonly logits: readonly (readonly number[])[];
}

/** The largest difference between a backend's logits and the recorded ones. */
export async function largestDifference(
  zoo: string,
  level: string,
  backend: Backend,
): Promise<number> {
  const cases: Record<string, ParityCase[]> = JSON.parse(
    Deno.readTextFileSync(`${zoo}/parity.json`),
  );
  const folder = openModelFolder(`${zoo}/${level}`);
  const spec = parseModelSpec(folder.config);
  const capacity = { tokens: 96, samples: 96, sequences: 1, sequencePages: 6, history: 1 };
  const layers = { first: 0, count: spec.layers };
  const partition = ModelPartition.load(backend, spec, folder.weights, {
    layers,
    capacity,
    pages: 6,
    pageSize: 16,
  });
  folder.close();
  let largest = 0;
  for (const { input_ids, logits } of cases[level]!) {
    const actual = await logitsOf(partition, input_ids, capacity);
    logits.flat().forEach((value, i) => largest = Math.max(largest, Math.abs(value - actual[i]!)));
  }
  return largest;
}

function logitsOf(
  partition: ModelPartition,
  ids: readonly number[],
  capacity: Parameters<typeof createStep>[0],
): Promise<Float32Array> {
  const step = createStep(capacity);
  step.history = new Int32Array(0);
  step.tokens = step.samples = ids.length;
  step.ids.set(ids);
  step.positions.set(ids.map((_, i) => i));
  step.pages.set([0, 1, 2, 3, 4, 5]);
  step.indices.set(ids.map((_, i) => i));
  return partition.step(step).then(() => partition.readLogits(ids.length));
}
