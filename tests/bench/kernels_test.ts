import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { type Device, openDevice } from "../../kernels/mod.ts";
import { checkWorkload, distance } from "../../bench/kernels/check.ts";
import { kernelOptions, workloads } from "../../bench/kernels/options.ts";
import { timeRun } from "../../bench/kernels/timing.ts";
import { weightBytes } from "../../bench/kernels/weights.ts";

const memoryBytes = 2 ** 28;

async function withDevices(body: (cpu: Device, reference: Device) => Promise<void>): Promise<void> {
  const cpu = await openDevice("cpu", 1);
  try {
    await body(cpu, await openDevice("reference", 1));
  } finally {
    cpu.close();
  }
}

Deno.test("checkWorkload() finds every kernel close to the reference", () =>
  withDevices(async (cpu, reference) => {
    for (const workload of workloads) {
      const [backend, plain] = [cpu, reference].map((device) => device.createBackend(memoryBytes));
      await checkWorkload(workload, await backend!, await plain!);
      (await backend!).close();
    }
  }));

Deno.test("checkWorkload() refuses a kernel that computes something else", () =>
  withDevices(async (_, reference) => {
    const workload = workloads.find(({ kernel }) => kernel === "rmsNorm")!;
    const backends = await Promise.all([1, 2].map(() => reference.createBackend(memoryBytes)));
    const wrong = new Proxy(backends[0]!, {
      get: (backend, name) =>
        name === "run" ? () => Promise.resolve() : Reflect.get(backend, name).bind(backend),
    });
    await rejects(() => checkWorkload(workload, wrong, backends[1]!), /rmsNorm of f32.*share of 1/);
  }));

Deno.test("distance() is a share of the expected norm, and infinite for NaN", () => {
  const of = (...values: number[]) => [Float32Array.from(values)];
  equal(distance(of(3, 4), of(3, 4)), 0);
  equal(distance(of(0, 0), of(3, 4)), 1);
  equal(distance(of(NaN, 4), of(3, 4)), Infinity);
  equal(distance(of(1), of(0)), Infinity);
});

Deno.test("timeRun() gives the median and the best of positive times", () =>
  withDevices(async (cpu) => {
    const backend = await cpu.createBackend(memoryBytes);
    const workload = workloads.find(({ kernel }) => kernel === "add")!;
    const { at } = await workload.prepare(backend, "check");
    const { median, best } = await timeRun(backend, at(1), { rounds: 3, roundMs: 0 });
    ok(best > 0 && best <= median && Number.isFinite(median));
    backend.close();
  }));

Deno.test("kernelOptions() chooses kernels and dtypes and refuses what it does not know", () => {
  const read = (...args: string[]) => kernelOptions({ args, quick: true, log: () => {} });
  const chosen = read("--kernels", "linear,sample", "--dtypes", "q8_0", "--threads", "3");
  deepEqual(new Set(chosen.workloads.map(({ kernel }) => kernel)), new Set(["linear"]));
  equal(chosen.threads, 3);
  equal(chosen.size, "quick");
  equal(read().workloads.length, workloads.length);
  throws(() => read("--kernels", "matmul"), /matmul/);
  throws(() => read("--dtypes", "q2_k"), /q2_k/);
  throws(() => read("--threads", "-1"), /--threads/);
});

Deno.test("weightBytes() counts whole blocks", () => {
  equal(weightBytes("f32", 256), 1024);
  equal(weightBytes("bf16", 256), 512);
  equal(weightBytes("q8_0", 256), 272);
  equal(weightBytes("q4_k", 512), 288);
});
