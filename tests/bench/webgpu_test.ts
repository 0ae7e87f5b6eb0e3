import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { bench } from "../../bench/webgpu/mod.ts";
import { dispatchesPerLayer, kernelRows } from "../../bench/webgpu/kernel_rows.ts";
import { gpuBenchOptions } from "../../bench/webgpu/options.ts";
import type { UploadRow } from "../../bench/webgpu/uploads.ts";
import { withAdapter } from "../support/gpu.ts";

const profiles = [
  { label: "embed", kernel: "embed", nanoseconds: 500, bytes: 1000, flops: 0 },
  ...[0, 1, 2].flatMap((layer) => [
    { label: "rmsNorm", kernel: "rms_norm", nanoseconds: 1000, bytes: 1000, flops: 4000 },
    { label: `linear ${layer}.q`, kernel: "gemv", nanoseconds: 2000, bytes: 8000, flops: 9000 },
  ]),
  { label: "rmsNorm", kernel: "rms_norm", nanoseconds: 1000, bytes: 1000, flops: 4000 },
];

Deno.test("kernelRows() sums operations of all layers, the longest first", () => {
  const speed = {
    ...{ copyBytesPerSecond: 8e9, readBytesPerSecond: 8e9, flopsPerSecond: 1e10, readbackMs: 1 },
  };
  const [first, second, third] = kernelRows(profiles, speed);
  deepEqual(first, {
    operation: "linear *.q, gemv",
    kernel: "gemv",
    dispatches: 3,
    us: 6,
    gb_s: 4,
    gflop_s: 4.5,
    copy_fraction: 0.5,
    peak_fraction: 0.45,
  });
  deepEqual([second?.dispatches, third?.operation], [4, "embed, embed"]);
  equal(dispatchesPerLayer(profiles, 3), 2);
});

Deno.test("gpuBenchOptions() chooses models and refuses what it does not know", () => {
  const read = (...args: string[]) => gpuBenchOptions({ args, quick: false, log: () => {} });
  deepEqual(read("--models", "dense-1b:f16").models?.map(({ shape }) => shape.name), ["dense-1b"]);
  equal(read().models, undefined);
  throws(() => read("--models", "dense-2b:f16"), /dense-2b:f16/);
  throws(() => read("--seconds", "-1"), /--seconds/);
  throws(() => read("--provider", "cuda"), /--provider/);
});

if (withAdapter("bench webgpu")) {
  Deno.test("bench webgpu keeps its budget: one submit, one readback, at most eight dispatches a layer", async () => {
    const args = ["--models", "tiny-dense:q8_0"];
    const { json } = await bench.run({ args, quick: true, log: () => {} });
    const { submits_per_step, readbacks_per_step, dispatches_per_layer } = json;
    deepEqual([submits_per_step, readbacks_per_step], [1, 1]);
    ok((dispatches_per_layer as number) <= 8, `dispatches a layer: ${dispatches_per_layer}`);
    const uploads = json.uploads as readonly UploadRow[];
    deepEqual(uploads.map(({ way }) => way), ["writeBuffer", "mapped staging"]);
    ok(uploads.every(({ gb_s, overlap }) => gb_s > 0 && overlap >= 0 && overlap <= 1));
  });
}
