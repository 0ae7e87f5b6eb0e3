import assert from "node:assert/strict";
import { createWebGpuBackend } from "../../../kernels/webgpu/mod.ts";
import { opened } from "../../../kernels/webgpu/gpu.ts";
import { openDevice, type WebGpuBackend } from "../../../kernels/mod.ts";
import { gpuTest, withAdapter } from "../../support/gpu.ts";
import { activation, assertRefused, assertSame, floats } from "../contract/values.ts";

gpuTest(
  "run() fails with DeviceLost when the device goes away, and so does all that comes later",
  async (backend, gpu) => {
    const x = activation(backend, [4, 64], new Float32Array(256).fill(1));
    const program = backend.record("double", (r) => r.add(x, x), { outputs: [x] });
    await backend.run(program, { tokens: 4, samples: 0 });
    const running = backend.run(program, { tokens: 4, samples: 0 });
    gpu.device.destroy();
    await running.catch(() => {});
    const again = () => backend.run(program, { tokens: 4, samples: 0 });
    await assertRefused(again, "DeviceLost", "lost");
    await assertRefused(again, "DeviceLost", "lost");
    await assertRefused(async () => await floats(backend, x, 4), "DeviceLost", "lost");
    await assertRefused(() => activation(backend, [1, 4]), "DeviceLost", "lost");
  },
);

if (withAdapter("createBackend() on a lost GPU")) {
  Deno.test("createBackend() fails with DeviceLost on a GPU that is gone", async () => {
    const device = await openDevice("gpu", 1);
    const lost = await device.createBackend(2 ** 20) as WebGpuBackend & { device: GPUDevice };
    const x = activation(lost, [1, 4]);
    lost.device.destroy();
    assert.match(await device.loss!, /destroyed/);
    await assertRefused(async () => await floats(lost, x, 4), "DeviceLost", "lost");
    await assertRefused(() => device.createBackend(2 ** 20), "DeviceLost", "lost");
    lost.close();
    await device.close();
  });
}

gpuTest("read() fails with DeviceLost when the device goes away", async (backend, gpu) => {
  const x = activation(backend, [4, 64]);
  await floats(backend, x, 4);
  gpu.device.destroy();
  await assertRefused(async () => await floats(backend, x, 4), "DeviceLost", "lost");
});

gpuTest("run() tells of a buffer that is gone, and goes on with others", async (backend) => {
  const [gone, x] = [activation(backend, [4, 64]), activation(backend, [4, 64])];
  const broken = backend.record("broken", (r) => r.clear(gone));
  const healthy = backend.record("healthy", (r) => r.clear(x), { outputs: [x] });
  (gone as unknown as { shards: { buffer: GPUBuffer }[] }).shards[0]!.buffer.destroy();
  const counts = { tokens: 4, samples: 0 };
  await assertRefused(() => backend.run(broken, counts), "Unsupported", "Cannot run broken");
  await backend.run(healthy, counts);
  assertSame(await floats(backend, x, 256), new Float32Array(256), "cleared");
});

gpuTest(
  "openGpu() compiles what it is given, and tells of what does not compile",
  async (backend, gpu) => {
    const x = activation(backend, [4, 64]);
    const { shards } = x as unknown as { shards: { buffer: GPUBuffer }[] };
    const binding = { buffer: shards[0]!.buffer, access: "write" } as const;
    const program = backend.record("fine", (r) => r.clear(x));
    opened(gpu).pipelines.get({
      kernel: "clear",
      defines: { GROUP: "(", ROWS: 1, WIDTH: 1 },
      bindings: [binding],
    });
    const run = () => backend.run(program, { tokens: 4, samples: 0 });
    await assertRefused(run, "Unsupported", "Cannot compile clear");
    await run();
  },
);

gpuTest("tensor() refuses what is larger than a buffer", async (backend, gpu) => {
  const { maxBufferSize } = gpu.device.limits;
  const shape = [2, Math.ceil(maxBufferSize / 4) + 4];
  await assertRefused(
    () => backend.tensor({ label: "huge", dtype: "f32", shape }),
    "OutOfMemory",
    "Cannot allocate huge",
  );
});

gpuTest("tensor() keeps all backends of a GPU within its budget", async (backend, gpu) => {
  const other = createWebGpuBackend({ gpu });
  const bytes = { label: "half", dtype: "f32", shape: [4096] } as const;
  for (const one of [backend, other]) one.tensor(bytes);
  const more = () => backend.tensor(bytes);
  await assertRefused(more, "OutOfMemory", "16384 bytes asked, 7232 left");
  other.close();
  more();
}, { maxBytes: 40_000 });

gpuTest("run() works with awaited maps, too", async (backend, gpu) => {
  assert.equal(gpu.mapping, "awaited");
  const x = activation(backend, [4, 64], new Float32Array(256).fill(1));
  const program = backend.record("double", (r) => r.add(x, x), { outputs: [x] });
  await backend.run(program, { tokens: 3, samples: 0 });
  const expected = new Float32Array(256).fill(2, 0, 192).fill(1, 192);
  assertSame(await floats(backend, x, 256), expected, "doubled");
}, { mapping: "awaited" });
