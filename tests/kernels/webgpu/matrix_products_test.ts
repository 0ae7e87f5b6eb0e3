/** Matrix kernels with the constants of real GPUs, which the contract does not meet on a software adapter. */
import type { Backend, WeightDType } from "../../../kernels/backend.ts";
import { blocks, isQuantised } from "../../../kernels/dtype.ts";
import { named, tuningOf } from "../../../kernels/webgpu/plans/tuning.ts";
import { gpuTest, openBackend } from "../../support/gpu.ts";
import {
  activation,
  assertNear,
  assertSame,
  floats,
  multiply,
  Random,
  relativeErrors,
  rowOf,
  weight,
} from "../contract/values.ts";

const gpuTuning = tuningOf({ software: false });
/** As `gpuTuning`, with a tile that compiles fast for all but a few rows. */
const smallTiles = {
  ...gpuTuning,
  fewRows: 8,
  fewResults: 0,
  tileGroups: 1,
  mediumFrom: 0,
  largeFrom: 0,
  ...onlyTile(8, 8, 2, 2),
};

function onlyTile(across: number, down: number, rows: number, tokens: number, slices = 1) {
  return named("large", { across, down, rows, tokens, slices, strip: 4 });
}

const capacity = 100;
const liveRows = [0, 1, 3, 9, 64, 100];

/** Products of all `liveRows`, checked against float64. */
async function checkLinear(backend: Backend, dtype: WeightDType, n: number, k: number) {
  const random = new Random(n + k);
  const w = weight(backend, dtype, [n, k], random, 0.1);
  const x = random.floats(capacity * k, 3);
  const input = activation(backend, [capacity, k], x);
  const out = activation(backend, [capacity, n]);
  const program = backend.record("linear", (r) => r.linear(out, input, w.tensor));
  for (const rows of liveRows) {
    const untouched = new Float32Array(capacity * n).fill(7);
    backend.write(out, untouched);
    await backend.run(program, { tokens: rows, samples: 0 });
    const actual = await floats(backend, out, capacity * n);
    const expected = Array.from(
      { length: rows },
      (_, t) => [...multiply(rowOf(x, t, k), w.values, k, n)],
    ).flat();
    const what = `${dtype} [${n}, ${k}], ${rows} rows`;
    if (rows > 0) {
      assertNear(actual.subarray(0, rows * n), expected, what, relativeErrors[dtype]);
    }
    assertSame(actual.subarray(rows * n), untouched.subarray(rows * n), what);
  }
}

for (const dtype of Object.keys(relativeErrors) as WeightDType[]) {
  // Rows of whole vectors, and padded ones.
  const widths = isQuantised(dtype) ? [512, 3 * blocks[dtype].elements] : [64, 35];
  gpuTest(`linear() of ${dtype} agrees with float64 at every number of rows`, async (backend) => {
    for (const k of widths) await checkLinear(backend, dtype, 45, k);
  }, { tuning: smallTiles });
}

gpuTest("linear() of blocks agrees with float64 where they meet floats", async (backend) => {
  for (const dtype of ["q8_0", "q4_0", "q4_k"] as const) await checkLinear(backend, dtype, 45, 768);
}, { tuning: { ...smallTiles, packed: 0 } });

gpuTest("linear() agrees with float64 in tiles of all sizes", async (backend) => {
  await checkLinear(backend, "f32", 131, 36);
  await checkLinear(backend, "q4_0", 1, 256);
}, {
  tuning: { ...gpuTuning, fewRows: 1, fewResults: 0, tileGroups: 1, mediumFrom: 10, largeFrom: 65 },
});

gpuTest(
  "linear() agrees with float64 in tiles whose threads share out the sums",
  async (backend) => {
    await checkLinear(backend, "q8_0", 45, 768);
    await checkLinear(backend, "f16", 130, 35);
  },
  { tuning: { ...smallTiles, fewRows: 1, ...onlyTile(8, 8, 2, 2, 4) } },
);

gpuTest("linear() agrees with float64 without subgroup operations", async (backend) => {
  await checkLinear(backend, "q8_0", 45, 512);
  await checkLinear(backend, "f16", 3, 1000);
}, { tuning: smallTiles, subgroups: false });

gpuTest("linear() agrees with float64 with more results than threads", async (backend) => {
  await checkLinear(backend, "q8_0", 45, 512);
}, { tuning: { ...smallTiles, threads: 32, rows: 8 } });

gpuTest(
  "linear() gives a row the same bits alone and in a batch, however it is shared out",
  async (backend) => {
    for (const dtype of ["f16", "q8_0", "q4_k"] as const) {
      const random = new Random(4);
      const [n, k, rows] = [90, 1024, 9];
      const w = weight(backend, dtype, [n, k], random).tensor;
      const x = random.floats(rows * k);
      const [input, out] = [activation(backend, [rows, k], x), activation(backend, [rows, n])];
      const program = backend.record("linear", (r) => r.linear(out, input, w));
      await backend.run(program, { tokens: rows, samples: 0 });
      const together = (await floats(backend, out, rows * n)).slice();
      backend.write(input, rowOf(x, rows - 1, k));
      await backend.run(program, { tokens: 1, samples: 0 });
      assertSame(await floats(backend, out, n), rowOf(together, rows - 1, n), dtype);
    }
  },
  { tuning: { ...smallTiles, fewRows: 9, groups: 1, sets: 4 } },
);

gpuTest("linear() gives the same bits whatever the units in flight", async (backend) => {
  await using other = await openBackend({ tuning: { ...smallTiles, threads: 32, depth: 1 } });
  for (const dtype of ["f16", "q8_0"] as const) {
    const results = [];
    for (const target of [backend, other.backend]) {
      const random = new Random(1);
      const [n, k] = [9, 2048];
      const w = weight(target, dtype, [n, k], random).tensor;
      const input = activation(target, [6, k], random.floats(6 * k));
      const out = activation(target, [6, n]);
      const program = target.record("linear", (r) => r.linear(out, input, w));
      await target.run(program, { tokens: 6, samples: 0 });
      results.push(await floats(target, out, 6 * n));
    }
    assertSame(results[0]!, results[1]!, dtype);
  }
}, { tuning: { ...smallTiles, threads: 32, depth: 2 } });

gpuTest("seal() arranges weights larger than its scratch memory", async (backend) => {
  const [n, k] = [70_000, 32];
  const w = weight(backend, "q8_0", [n, k], new Random(2));
  const x = new Random(3).floats(k);
  const [input, out] = [activation(backend, [1, k], x), activation(backend, [1, n])];
  const program = backend.record("linear", (r) => r.linear(out, input, w.tensor));
  await backend.run(program, { tokens: 1, samples: 0 });
  const expected = multiply(x, w.values, k, n);
  assertNear(await floats(backend, out, n), expected, "products", relativeErrors.q8_0);
});
