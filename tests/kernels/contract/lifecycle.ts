/** Memory, errors and agreement between numbers of threads. */
import type { Backend } from "../../../kernels/backend.ts";
import type { Case } from "./matrices.ts";
import {
  activation,
  assertClose,
  assertRefused,
  assertSame,
  type ContractTarget,
  floats,
  integers,
  Random,
  weight,
} from "./values.ts";

export const lifecycleCases: readonly Case[] = [
  ["tensor() is zeroed and counted", async (backend) => {
    const { used } = backend.memory;
    const tensor = activation(backend, [3, 50]);
    assertSame(await floats(backend, tensor, 150), new Float32Array(150), "new tensor");
    if (backend.memory.used < used + tensor.byteLength) throw new Error("Memory was not counted");
  }],
  ["load() hands windows in order that cover the range", async (backend) => {
    const tensor = backend.tensor({ label: "w", dtype: "f32", shape: [3, 5, 7] });
    const values = new Random(1).floats(3 * 5 * 7);
    const bytes = new Uint8Array(values.buffer);
    for (const [from, to] of [[0, 100], [100, 108], [108, 420]] as const) {
      let next = 0;
      backend.load(tensor, from, to - from, (into, offset) => {
        if (offset !== next) throw new Error(`Window at ${offset}, expected ${next}`);
        into.set(bytes.subarray(from + offset, from + offset + into.length));
        next += into.length;
      });
      if (next !== to - from) throw new Error(`Windows covered ${next} of ${to - from} bytes`);
    }
    assertSame(await floats(backend, tensor, values.length), values, "loaded");
  }],
  ["write() and read() move parts", async (backend) => {
    const tensor = integers(backend, [10], [...Array(10).keys()]);
    backend.write(tensor, Int32Array.of(-5, -6), 4);
    assertSame(await backend.read(tensor, new Int32Array(7)), [0, 1, 2, 3, -5, -6, 6], "part");
  }],
  ["load(), write() and read() refuse what does not fit", refusals],
  ["record() refuses shapes that do not fit", badShapes],
  ["close() refuses what comes later", async (backend) => {
    const program = backend.record("nothing", () => {});
    backend.close();
    await assertRefused(() => backend.run(program, { tokens: 0, samples: 0 }), "Closed", "");
    await assertRefused(
      () => backend.tensor({ label: "x", dtype: "f32", shape: [1] }),
      "Closed",
      "",
    );
    backend.close();
  }],
];

async function refusals(backend: Backend): Promise<void> {
  const w = weight(backend, "f16", [4, 4], new Random(1)).tensor;
  const x = activation(backend, [2, 4]);
  const load = (byteOffset: number, byteLength: number) => () =>
    backend.load(
      backend.tensor({ label: "open", dtype: "f16", shape: [4, 4] }),
      byteOffset,
      byteLength,
      () => {},
    );
  await assertRefused(() => backend.load(w, 0, 32, () => {}), "InvalidArgument", "sealed");
  await assertRefused(load(0, 33), "InvalidArgument", "open");
  await assertRefused(load(-1, 4), "InvalidArgument", "open");
  await assertRefused(() => backend.write(x, new Float32Array(3), 6), "InvalidArgument", "rows");
  await assertRefused(() => backend.write(x, new Int32Array(1)), "InvalidArgument", "rows");
  await assertRefused(
    async () => await backend.read(x, new Float32Array(9)),
    "InvalidArgument",
    "rows",
  );
  await assertRefused(
    async () => await backend.read(x, new Int32Array(1)),
    "InvalidArgument",
    "rows",
  );
}

async function badShapes(backend: Backend): Promise<void> {
  const w = weight(backend, "f32", [6, 5], new Random(1)).tensor;
  const [x, out] = [activation(backend, [2, 5]), activation(backend, [2, 6])];
  const refuse = (says: string, build: Parameters<Backend["record"]>[1]) =>
    assertRefused(() => backend.record("bad", build), "InvalidShape", says);
  await refuse("linear", (r) => r.linear(x, out, w));
  await refuse("linear", (r) => r.linear(out, x, x));
  await refuse("swiglu", (r) => r.swiglu(out, x, w));
  await refuse("embed", (r) => r.embed(out, w, integers(backend, [2], undefined, "tokens")));
  await refuse("add", (r) => r.add(out, x));
  await refuse("gather", (r) => r.gather(out, x, integers(backend, [2], undefined, "tokens")));
  await refuse(
    "rmsNorm",
    (r) => r.rmsNorm(x, x, backend.tensor({ label: "n", dtype: "f32", shape: [4] }), 1),
  );
}

/** Registers the cases that make their own backends. */
export function targetCases(target: ContractTarget): void {
  Deno.test(`tensor() says how much memory was asked and left [${target.name}]`, async () => {
    await using created = await target.create({ threads: 1, maxBytes: 5 * 2 ** 20 });
    const spec = { label: "a giant", dtype: "f32", shape: [1024, 1024] } as const;
    await assertRefused(
      () => {
        created.backend.tensor(spec);
        created.backend.tensor(spec);
      },
      "OutOfMemory",
      "a giant",
    );
    created.backend.tensor({ ...spec, shape: [16] });
  });
  if (target.threads.length === 1) return;
  Deno.test(`Numbers of threads ${target.threads.join(", ")} agree bit by bit [${target.name}]`, async () => {
    const results = [];
    for (const threads of target.threads) results.push(await miniature(target, threads));
    for (const result of results) assertSame(result, results[0]!, "values");
  });
}

/** A layer of everything, over several steps; returns all that it computed. */
async function miniature(target: ContractTarget, threads: number): Promise<Float32Array> {
  await using created = await target.create({ threads });
  const { backend } = created;
  const random = new Random(99);
  const [rows, dim, ffn, vocabulary, topK] = [40, 96, 200, 3000, 2];
  const shape = { heads: 6, kvHeads: 2, headDim: 16 };
  const w = (dtype: "f32" | "f16" | "bf16", ...sizes: number[]) =>
    weight(backend, dtype, sizes, random, 0.2).tensor;
  const table = backend.tensor({ label: "rotary", dtype: "f32", shape: [64, 16] });
  backend.write(table, random.floats(64 * 16));
  const [x, qkv] = [activation(backend, [rows, dim]), activation(backend, [rows, 160])];
  const [mixed, inner] = [activation(backend, [rows, dim]), activation(backend, [rows, ffn])];
  const logits = activation(backend, [rows, vocabulary]);
  const choice = {
    experts: integers(backend, [rows, topK], undefined, "tokens"),
    weights: activation(backend, [rows, topK]),
  };
  const placement = {
    positions: integers(backend, [rows], undefined, "tokens"),
    sequences: integers(backend, [rows], undefined, "tokens"),
    pages: integers(backend, [1, 8], [3, 1, 7, 0, 2, 5, 4, 6]),
  };
  const cache = backend.kvCache({
    layers: 1,
    pages: 8,
    pageSize: 8,
    kvHeads: 2,
    headDim: 16,
    dtype: "f16",
  });
  const weights = {
    qkv: w("f16", 160, dim),
    gate: w("f32", 8, dim),
    gateUp: w("bf16", 8, 2 * ffn, dim),
    down: w("f16", 8, dim, ffn),
    dense: w("f16", 2 * ffn, dim),
    denseDown: w("f32", dim, ffn),
    head: w("bf16", vocabulary, dim),
  };
  const program = backend.record("miniature", (r) => {
    r.linear(qkv, x, weights.qkv);
    r.rotateAppend(qkv, cache, 0, shape, { table, eps: 1e-5 }, placement);
    r.attention(mixed, qkv, cache, 0, shape, placement);
    r.add(x, mixed);
    r.swiglu(inner, x, weights.dense);
    r.linear(x, inner, weights.denseDown, { add: true });
    r.route(choice, x, weights.gate, { normalise: true });
    r.experts(x, x, choice, { first: 0, count: 8, gateUp: weights.gateUp, down: weights.down });
    r.linear(logits, x, weights.head);
  });
  const results: number[] = [];
  for (const [from, to] of [[0, 1], [1, 35], [35, 42], [42, 43]] as const) {
    const length = to - from;
    backend.write(x, random.floats(length * dim));
    backend.write(placement.positions, Int32Array.from({ length }, (_, i) => from + i));
    await backend.run(program, { tokens: length, samples: 0 });
    results.push(
      ...await floats(backend, x, length * dim),
      ...await floats(backend, logits, length * vocabulary),
    );
  }
  assertClose([results.findIndex(Number.isNaN)], [-1], "first value that is not a number");
  return Float32Array.from(results);
}
