import type { Backend } from "../../kernels/backend.ts";
import { compileKernels } from "../../kernels/wasm/build.ts";
import { createWasmBackend, createWasmThreads } from "../../kernels/wasm/mod.ts";
import { backendContract } from "./backend_contract.ts";
import {
  activation,
  assertRefused,
  assertSame,
  floats,
  integers,
  Random,
  weight,
} from "./contract/values.ts";

for (const relaxed of [true, false]) {
  backendContract({
    name: relaxed ? "wasm, relaxed SIMD" : "wasm",
    threads: [1, 2, 4],
    async create({ threads: count, maxBytes }) {
      const threads = await createWasmThreads(count);
      const options = { threads, relaxed };
      const backend = await createWasmBackend(maxBytes ? { ...options, maxBytes } : options);
      return {
        backend,
        [Symbol.dispose]() {
          backend.close();
          threads.close();
        },
      };
    },
  });
}

Deno.test("compileKernels() gives the committed kernels", async () => {
  for (const [name, bytes] of await compileKernels()) {
    const committed = await Deno.readFile(new URL(`../../kernels/wasm/${name}`, import.meta.url));
    assertSame(committed, bytes, `${name} (run deno task wasm)`);
  }
});

Deno.test("createWasmThreads() serves several backends in turn", async () => {
  const threads = await createWasmThreads(3);
  const backends: Backend[] = [];
  for (let i = 0; i < 3; i++) backends.push(await createWasmBackend({ threads }));
  const doublers = backends.map((backend, i) => {
    const out = activation(backend, [50, 2000], new Random(i).floats(100000));
    return { backend, out, program: backend.record("double", (r) => r.add(out, out)) };
  });
  for (let round = 0; round < 20; round++) {
    for (const { backend, program } of doublers) {
      await backend.run(program, { tokens: 50, samples: 0 });
    }
    if (round === 9) doublers.shift()!.backend.close();
    if (round === 14) backends.push(await createWasmBackend({ threads }));
  }
  for (const [i, { backend, out }] of doublers.entries()) {
    const expected = new Random(i + 1).floats(100000).map((value) => value * 2 ** 20);
    assertSame(await floats(backend, out, 100000), expected, `backend ${i}`);
  }
  for (const backend of backends) backend.close();
  threads.close();
  await assertRefused(() => createWasmBackend({ threads }), "Closed", "");
});

Deno.test("createWasmThreads() refuses senseless counts", async () => {
  for (const count of [0, -1, 1.5, NaN, 100000]) {
    await assertRefused(() => createWasmThreads(count), "InvalidArgument", String(count));
  }
});

async function withBackend(body: (backend: Backend) => Promise<void>): Promise<void> {
  const threads = await createWasmThreads(2);
  const backend = await createWasmBackend({ threads });
  try {
    await body(backend);
  } finally {
    backend.close();
    threads.close();
  }
}

Deno.test("run() refuses counts above the capacity", () =>
  withBackend(async (backend) => {
    const x = activation(backend, [4, 3]);
    const program = backend.record("clear", (r) => r.clear(x));
    for (const tokens of [5, -1, 0.5]) {
      await assertRefused(
        () => backend.run(program, { tokens, samples: 0 }),
        "InvalidArgument",
        "clear",
      );
    }
    await backend.run(program, { tokens: 4, samples: 9 });
  }));

Deno.test("run() refuses ids and rows that are out of range, and goes on", () =>
  withBackend(async (backend) => {
    const table = weight(backend, "f16", [9, 8], new Random(1)).tensor;
    const [ids, out] = [integers(backend, [2], [], "tokens"), activation(backend, [2, 8])];
    const embed = backend.record("embed", (r) => r.embed(out, table, ids));
    const [from, picked] = [
      integers(backend, [2], [], "samples"),
      activation(backend, [2, 8], undefined, "samples"),
    ];
    const gather = backend.record("gather", (r) => r.gather(picked, out, from));
    for (const bad of [9, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      backend.write(ids, Int32Array.of(0, bad));
      backend.write(from, Int32Array.of(bad, 0));
      await assertRefused(
        () => backend.run(embed, { tokens: 2, samples: 0 }),
        "InvalidArgument",
        `${bad}`,
      );
      await assertRefused(
        () => backend.run(gather, { tokens: 0, samples: 2 }),
        "InvalidArgument",
        `${bad}`,
      );
    }
    backend.write(ids, Int32Array.of(0, 8));
    await backend.run(embed, { tokens: 2, samples: 0 });
  }));

Deno.test("run() refuses placements that are out of range, and goes on", () =>
  withBackend(async (backend) => {
    const shape = { heads: 2, kvHeads: 1, headDim: 4 };
    const [qkv, out] = [activation(backend, [1, 16]), activation(backend, [1, 8])];
    const table = backend.tensor({ label: "rotary", dtype: "f32", shape: [12, 4] });
    const cache = backend.kvCache({
      layers: 1,
      pages: 3,
      pageSize: 4,
      kvHeads: 1,
      headDim: 4,
      dtype: "f16",
    });
    const placement = {
      positions: integers(backend, [1], [], "tokens"),
      sequences: integers(backend, [1], [], "tokens"),
      pages: integers(backend, [2, 3], [0, 1, 2, 0, 3, -1]),
    };
    const program = backend.record("attention", (r) => {
      r.rotateAppend(qkv, cache, 0, shape, { table, eps: 0 }, placement);
      r.attention(out, qkv, cache, 0, shape, placement);
    });
    const run = (position: number, sequence: number) => {
      backend.write(placement.positions, Int32Array.of(position));
      backend.write(placement.sequences, Int32Array.of(sequence));
      return backend.run(program, { tokens: 1, samples: 0 });
    };
    await assertRefused(() => run(12, 0), "InvalidArgument", "position out of range: 12");
    await assertRefused(() => run(-1, 0), "InvalidArgument", "position out of range: -1");
    await assertRefused(() => run(0, 2), "InvalidArgument", "sequence row out of range: 2");
    await assertRefused(() => run(4, 1), "InvalidArgument", "page out of range: 3");
    await assertRefused(() => run(8, 1), "InvalidArgument", "page out of range: -1");
    await run(11, 0);
  }));

Deno.test("record() and run() refuse handles of another backend", () =>
  withBackend(async (one) => {
    await withBackend(async (other) => {
      const x = activation(other, [1, 4]);
      await assertRefused(
        () => one.record("mixed", (r) => r.clear(x)),
        "InvalidArgument",
        "another",
      );
      const program = other.record("clear", (r) => r.clear(x));
      await assertRefused(
        () => one.run(program, { tokens: 1, samples: 0 }),
        "InvalidArgument",
        "another",
      );
    });
  }));

Deno.test("createWasmBackend() refuses a memory of no size", async () => {
  const threads = await createWasmThreads(1);
  for (const maxBytes of [-1, 0, NaN, 1000]) {
    await assertRefused(
      () => createWasmBackend({ threads, maxBytes }),
      "InvalidArgument",
      "maxBytes",
    );
  }
  threads.close();
});

Deno.test("run() reports a kernel that traps, and other backends go on", async () => {
  const threads = await createWasmThreads(3);
  const [broken, healthy] = [
    await createWasmBackend({ threads }),
    await createWasmBackend({ threads }),
  ];
  const shape = { heads: 4, kvHeads: 4, headDim: 8 };
  const [qkv, out] = [activation(broken, [64, 96]), activation(broken, [64, 32])];
  const cache = broken.kvCache({
    layers: 1,
    pages: 1,
    pageSize: 8,
    kvHeads: 4,
    headDim: 8,
    dtype: "f32",
  });
  Object.assign(cache, { address: 2 ** 31 });
  const placement = {
    positions: integers(broken, [64], [], "tokens"),
    sequences: integers(broken, [64], [], "tokens"),
    pages: integers(broken, [1, 1]),
  };
  const program = broken.record("broken", (r) => r.attention(out, qkv, cache, 0, shape, placement));
  const run = () => broken.run(program, { tokens: 64, samples: 0 });
  await assertRefused(run, "DeviceLost", "Cannot finish a program");
  await assertRefused(run, "DeviceLost", "a kernel failed");
  const x = activation(healthy, [64, 2000], new Random(1).floats(128000));
  const clear = healthy.record("clear", (r) => r.clear(x));
  await healthy.run(clear, { tokens: 64, samples: 0 });
  assertSame(await floats(healthy, x, 128000), new Float32Array(128000), "cleared");
  for (const backend of [broken, healthy]) backend.close();
  threads.close();
});
