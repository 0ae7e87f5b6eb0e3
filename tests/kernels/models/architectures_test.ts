import assert from "node:assert/strict";
import type { Backend } from "../../../kernels/backend.ts";
import { openModelFolder } from "../../../kernels/formats/mod.ts";
import {
  ModelPartition,
  type ModelSpec,
  parseModelSpec,
  type PartitionOptions,
} from "../../../kernels/models/mod.ts";
import { Random } from "../contract/values.ts";
import { withFolder } from "../formats/support.ts";
import { type ModelCase, modelCases } from "./architectures.ts";
import { testedBackends } from "./backends.ts";
import { randomCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { oracleLogits } from "./oracle.ts";
import { shardedExperts } from "./sharding.ts";
import { greedyStep, runStep, type Token } from "./stepping.ts";

/** The largest difference to the float64 oracle, relative to its largest logit; 1.7e-6 was measured. */
const TOLERANCE = 2e-5;
/** The same with keys and values rounded to float16; 2.4e-3 was measured. */
const F16_TOLERANCE = 1e-2;

const capacity = { tokens: 40, samples: 40, sequences: 3, sequencePages: 7, history: 1 };
/** Page tables of three sequences, scattered over the cache; every way of feeding takes other ones. */
const tables = [[20, 3, 11, 0, 8, 17, 14], [5, 19, 2, 13, 7, 10, 1], [16, 4, 12, 6, 18, 9, 15]];
const base = { capacity, pages: 21, pageSize: 4 };
type Folder = ReturnType<typeof openModelFolder>;

for (const [index, model] of modelCases.entries()) {
  const checkpoint = randomCheckpoint(model.config, model.dtype, 100 + index);
  const sequences = [23, 16].map((length, i) => drawIds(length, model, 7 + i));
  for (const { name, with: withBackends } of testedBackends) {
    Deno.test(`${name} logits of ${model.name} equal the oracle's`, async (t) => {
      const expected = sequences.map((ids) =>
        oracleLogits(checkpoint.config, checkpoint.tensors, ids)
      );
      await withFolder((dir) =>
        withBackends(async (create) => {
          writeCheckpoint(dir, checkpoint, model.shardBytes);
          const folder = openModelFolder(dir);
          try {
            await checkModel(t, folder, await create(), sequences, expected);
          } finally {
            folder.close();
          }
        })
      );
    });
  }
}

async function checkModel(
  t: Deno.TestContext,
  folder: Folder,
  backend: Backend,
  sequences: readonly number[][],
  expected: readonly Float64Array[][],
): Promise<void> {
  const spec = parseModelSpec(folder.config);
  let turn = 0;
  const check = async (
    partitions: readonly ModelPartition[],
    steps: readonly Token[][],
    tolerance = TOLERANCE,
  ) => {
    const pages = tables.map((_, i) => tables[(i + turn) % tables.length]!);
    turn++;
    for (const tokens of steps) await checkStep(partitions, pages, tokens, expected, tolerance);
  };
  const [a, b] = sequences.map((ids, sequence) =>
    ids.map((id, position) => ({ sequence, position, id }))
  ) as [Token[], Token[]];
  const whole = [load(backend, spec, folder)];
  await t.step("fed whole", () => check(whole, [a]));
  await t.step("fed in chunks", () => check(whole, chunks(a, 5)));
  await t.step("two sequences interleaved", () => check(whole, chunks(interleave(a, b), 9)));
  await t.step("in two partitions", () => {
    const first = load(backend, spec, folder, { layers: { first: 0, count: 1 } });
    const rest = load(backend, spec, folder, { layers: { first: 1, count: spec.layers - 1 } });
    return check([first, rest], chunks(interleave(b, a), 13));
  });
  await t.step("with an f16 cache", () => {
    const partition = load(backend, spec, folder, { kvDtype: "f16" });
    return check([partition], chunks(interleave(a, b), 9), F16_TOLERANCE);
  });
  if (!spec.mixture) return;
  await t.step("with experts in shards", async () => {
    const partition = load(backend, spec, folder, {
      localExperts: { first: 1, count: 2 },
      remoteExperts: await shardedExperts(() => backend, spec, folder.weights, capacity.tokens, [
        [0],
        Array.from({ length: spec.mixture!.experts - 3 }, (_, i) => spec.mixture!.experts - 1 - i),
      ]),
    });
    return check([partition], chunks(a, 11));
  });
}

async function checkStep(
  partitions: readonly ModelPartition[],
  pages: readonly number[][],
  tokens: readonly Token[],
  expected: readonly Float64Array[][],
  tolerance: number,
): Promise<void> {
  const step = greedyStep(capacity, pages, tokens, [...tokens.keys()]);
  const { sampled } = await runStep(partitions, step);
  const actual = await partitions.at(-1)!.readLogits(tokens.length);
  const width = actual.length / tokens.length;
  tokens.forEach(({ sequence, position }, row) => {
    const logits = expected[sequence]![position]!;
    const scale = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = logits.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - actual[row * width + i]!)),
      0,
    );
    const where = `sequence ${sequence}, position ${position}`;
    assert(worst <= tolerance * scale, `${where}: off by ${worst} of ${scale}`);
    if (tolerance > TOLERANCE) return;
    assert.equal(sampled[row], logits.indexOf(Math.max(...logits)), where);
  });
}

function load(
  backend: Backend,
  spec: ModelSpec,
  folder: Folder,
  options: Partial<PartitionOptions> = {},
): ModelPartition {
  const layers = { first: 0, count: spec.layers };
  return ModelPartition.load(backend, spec, folder.weights, { ...base, layers, ...options });
}

function drawIds(length: number, { config }: ModelCase, seed: number): number[] {
  const random = new Random(seed);
  return Array.from({ length }, () => random.below(config.vocab_size));
}

function chunks<T>(items: readonly T[], length: number): T[][] {
  return Array.from(
    { length: Math.ceil(items.length / length) },
    (_, i) => items.slice(i * length, (i + 1) * length),
  );
}

function interleave<T>(a: readonly T[], b: readonly T[]): T[] {
  const longest = Math.max(a.length, b.length);
  return Array.from({ length: longest }, (_, i) => [...a.slice(i, i + 1), ...b.slice(i, i + 1)])
    .flat();
}
