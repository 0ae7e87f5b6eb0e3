import assert from "node:assert/strict";
import { type Gpu, tuneGpu, type Tuning } from "../../../kernels/webgpu/mod.ts";
import { tuningOf } from "../../../kernels/webgpu/plans/tuning.ts";
import { couldBeFound, measure, search } from "../../../kernels/webgpu/tune.ts";
import type { TuningStep, TuningWorkload } from "../../../kernels/webgpu/tuning_steps.ts";
import { gpuTest } from "../../support/gpu.ts";

const workload: TuningWorkload = {
  name: "tiny",
  rows: 2,
  dtypes: ["f16", "q4_0"],
  shapes: [[8, 256]],
  copies: 1,
};

Deno.test("search() builds on the fastest candidate of each step", async () => {
  const steps: TuningStep[] = [
    { workload, candidates: [{ a: 1 }, { a: 2 }, { a: 3 }] },
    { workload, candidates: [{ b: 5 }, {}] },
    { workload, candidates: [{ b: 6 }, {}] },
  ];
  const tried: Tuning[] = [];
  const best = await search({ a: 0, b: 0 }, steps, (_, tuning) => {
    tried.push(tuning);
    const seconds = Math.abs(tuning.a! - 2) + Math.abs(tuning.b! - 5);
    return Promise.resolve(seconds);
  });
  assert.deepEqual(best, { a: 2, b: 5 });
  assert.equal(tried.length, 7);
  assert.deepEqual(tried.at(-2), { a: 2, b: 6 });
});

gpuTest("measure() times products of every dtype", async (_, gpu) => {
  const seconds = await measure(gpu, workload, {});
  assert(seconds > 0 && seconds < 10, `seconds: ${seconds}`);
});

/** Takes a GPU in software for a card, and remembers one tuning. */
async function tuneCard(gpu: Gpu, known: unknown) {
  const begun: string[] = [];
  const kept: Tuning[] = [];
  const tuning = await tuneGpu(
    { ...gpu, timestamps: true, info: { ...gpu.info, software: false, description: "A card" } },
    {
      cache: {
        get: (adapter) => Promise.resolve(adapter.includes("A card") ? known : undefined),
        set: (_, tuning) => Promise.resolve(void kept.push(tuning)),
      },
      begin: (adapter) => begun.push(adapter),
    },
  );
  return { tuning, begun, kept };
}

gpuTest("tuneGpu() measures nothing that it remembers, nor on the CPU", async (_, gpu) => {
  const known = { ...tuningOf({ software: false }), threads: 128, rowsAlone: 4 };
  const { tuning, begun, kept } = await tuneCard(gpu, known);
  assert.deepEqual(tuning, known);
  assert.deepEqual([begun, kept], [[], []]);
  const cache = { get: () => assert.fail("Asked"), set: () => assert.fail("Kept") };
  const software = { ...gpu.info, software: true };
  assert.deepEqual(await tuneGpu({ ...gpu, info: software }, { cache }), tuningOf(software));
});

Deno.test("couldBeFound() refuses what no search ends with", () => {
  const start = { a: 0, b: 0 };
  const steps: TuningStep[] = [{ workload, candidates: [{ a: 1 }, { a: 2 }] }];
  assert(couldBeFound({ a: 2, b: 0 }, start, steps));
  assert(couldBeFound(start, start, steps));
  const others = [{ a: 3, b: 0 }, { a: 1, b: 1 }, { a: 1 }, { a: 1, b: 0, c: 0 }, { a: "1", b: 0 }];
  for (const other of [...others, undefined, null, [], "tuning", 1]) {
    assert(!couldBeFound(other, start, steps), JSON.stringify(other));
  }
});

gpuTest("tuneGpu() keeps the constants that are built in where nothing can be measured", async (
  _,
  gpu,
) => {
  // Not a GPU that was opened: no backend can be made on it.
  const { tuning, begun, kept } = await tuneCard(gpu, { threads: 1e9 });
  assert.equal(begun.length, 1);
  assert.deepEqual(tuning, tuningOf({ software: false }));
  assert.deepEqual(kept, []);
});
