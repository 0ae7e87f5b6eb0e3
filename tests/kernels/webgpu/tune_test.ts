import assert from "node:assert/strict";
import { type Gpu, tuneGpu, type Tuning } from "../../../kernels/webgpu/mod.ts";
import { tuningOf } from "../../../kernels/webgpu/plans/tuning.ts";
import {
  measure,
  search,
  type TuningStep,
  type TuningWorkload,
} from "../../../kernels/webgpu/tune.ts";
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

gpuTest("tuneGpu() measures nothing that it remembers, nor on the CPU", async (_, gpu) => {
  const asked: string[] = [];
  const cache = {
    get: (adapter: string) => {
      asked.push(adapter);
      return Promise.resolve({ threads: 3 });
    },
    set: () => Promise.reject(new Error("Set what it got")),
  };
  const info = { ...gpu.info, software: false, description: "A card" };
  assert.deepEqual(await tuneGpu({ ...gpu, info, timestamps: true } as Gpu, { cache }), {
    threads: 3,
  });
  assert.equal(asked.length, 1);
  assert(asked[0]!.includes("A card"));
  const software = { ...gpu.info, software: true };
  assert.deepEqual(await tuneGpu({ ...gpu, info: software } as Gpu, { cache }), tuningOf(software));
  assert.equal(asked.length, 1);
});
