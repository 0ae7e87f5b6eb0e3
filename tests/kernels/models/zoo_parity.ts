/** Compares a backend's logits with those recorded for the zoo. */
import type { Backend } from "../../../kernels/backend.ts";
import { openModelFolder } from "../../../kernels/formats/mod.ts";
import { ModelPartition, parseModelSpec } from "../../../kernels/models/mod.ts";
import { greedyStep } from "./stepping.ts";

/** Three prompts a level with the float32 logits of every position. */
interface ParityCase {
  readonly prompt: string;
  readonly input_ids: readonly number[];
  readonly logits: readonly (readonly number[])[];
}

const capacity = { tokens: 96, samples: 96, sequences: 1, sequencePages: 6, history: 1 };
const pages = [[4, 0, 5, 2, 1, 3]];

/** The largest difference between a backend's logits and the recorded ones. */
export async function largestDifference(
  zoo: string,
  level: string,
  backend: Backend,
): Promise<number> {
  const cases: Record<string, ParityCase[]> = JSON.parse(
    Deno.readTextFileSync(`${zoo}/parity.json`),
  );
  const partition = loadWhole(`${zoo}/${level}`, backend);
  let largest = 0;
  for (const { input_ids, logits } of cases[level]!) {
    const tokens = input_ids.map((id, position) => ({ sequence: 0, position, id }));
    await partition.step(greedyStep(capacity, pages, tokens, [...tokens.keys()]));
    const actual = await partition.readLogits(tokens.length);
    logits.flat().forEach((value, i) => largest = Math.max(largest, Math.abs(value - actual[i]!)));
  }
  return largest;
}

function loadWhole(dir: string, backend: Backend): ModelPartition {
  const folder = openModelFolder(dir);
  const spec = parseModelSpec(folder.config);
  const layers = { first: 0, count: spec.layers };
  const options = { layers, capacity, pages: 6, pageSize: 16 };
  try {
    return ModelPartition.load(backend, spec, folder.weights, options);
  } finally {
    folder.close();
  }
}
