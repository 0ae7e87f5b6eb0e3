/** Weights over the binding limit, split into buffers, compute what whole ones do. */
import type { Backend, WeightDType } from "../../../kernels/backend.ts";
import { gpuTest, openBackend } from "../../support/gpu.ts";
import {
  activation,
  assertNear,
  assertSame,
  floats,
  integers,
  Random,
  weight,
} from "../contract/values.ts";

/** Cuts the weights below into two to thirty buffers. */
const SHARD_BYTES = 10_000;
const counts = { tokens: 5, samples: 0 };
const dtypes: readonly WeightDType[] = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k"];

type Compute = (backend: Backend, dtype: WeightDType) => Promise<Float32Array>;

const computations: Readonly<Record<string, Compute>> = {
  embed: async (backend, dtype) => {
    const table = weight(backend, dtype, [150, 256], new Random(1)).tensor;
    const ids = integers(backend, [5], [149, 0, 70, 71, 7], "tokens");
    const out = activation(backend, [5, 256]);
    await backend.run(backend.record("embed", (r) => r.embed(out, table, ids)), counts);
    return await floats(backend, out, 5 * 256);
  },
  linear: async (backend, dtype) => {
    const random = new Random(2);
    const w = weight(backend, dtype, [150, 256], random).tensor;
    const x = activation(backend, [5, 256], random.floats(5 * 256));
    const out = activation(backend, [5, 200], random.floats(5 * 200));
    const bias = backend.tensor({ label: "bias", dtype: "f32", shape: [150] });
    backend.write(bias, random.floats(150));
    const options = { bias, add: true, column: 30 };
    await backend.run(backend.record("linear", (r) => r.linear(out, x, w, options)), counts);
    return await floats(backend, out, 5 * 200);
  },
  swiglu: async (backend, dtype) => {
    const random = new Random(3);
    const w = weight(backend, dtype, [2 * 77, 256], random).tensor;
    const x = activation(backend, [5, 256], random.floats(5 * 256));
    const out = activation(backend, [5, 77]);
    await backend.run(backend.record("swiglu", (r) => r.swiglu(out, x, w)), counts);
    return await floats(backend, out, 5 * 77);
  },
  experts: async (backend, dtype) => {
    const random = new Random(4);
    const gateUp = weight(backend, dtype, [6, 2 * 256, 256], random, 0.1).tensor;
    const down = weight(backend, dtype, [6, 256, 256], random, 0.1).tensor;
    const x = activation(backend, [5, 256], random.floats(5 * 256));
    const out = activation(backend, [5, 256], random.floats(5 * 256));
    const choice = {
      experts: integers(backend, [5, 2], [5, 0, 1, 3, 4, 5, 2, 1, 7, 3], "tokens"),
      weights: activation(backend, [5, 2], random.floats(10)),
    };
    const held = { first: 1, count: 6, gateUp, down };
    await backend.run(backend.record("experts", (r) => r.experts(out, x, choice, held)), counts);
    return await floats(backend, out, 5 * 256);
  },
};

for (const [name, compute] of Object.entries(computations)) {
  // The limit holds a few matrices of experts.
  const shardBytes = name === "experts" ? 1_200_000 : SHARD_BYTES;
  gpuTest(`${name}() of weights in shards agrees with whole ones`, async (cut) => {
    await using whole = await openBackend();
    for (const dtype of dtypes) {
      const expected = await compute(whole.backend, dtype);
      assertNear(await compute(cut, dtype), expected, dtype, 1e-6);
    }
  }, { shardBytes });
}

const never = { groupedRows: 1e9, tiledRows: 1e9, largeTiledRows: 1e9 };
const ways = {
  "slot by slot": never,
  "in groups": { ...never, groupedRows: 0 },
  "in tiles": { groupedRows: 0, tiledRows: 0, largeTiledRows: 0 },
};
for (const [way, tuning] of Object.entries(ways)) {
  const name = `experts() ${way} of matrices in several buffers agrees with whole ones`;
  // A matrix of gates and ups is cut in three, one of downs in two.
  gpuTest(name, async (cut) => {
    await using whole = await openBackend({ tuning });
    const compute = computations["experts"]!;
    const expected = await compute(whole.backend, "q8_0");
    assertNear(await compute(cut, "q8_0"), expected, way, 1e-6);
  }, { shardBytes: 60_000, tuning });
}

gpuTest(
  "load() fills shards whose rows are not whole words, in pieces of any size",
  async (backend) => {
    const bytes = new Uint8Array(Float16Array.from(new Random(5).floats(41 * 7)).buffer);
    const table = backend.tensor({ label: "table", dtype: "f16", shape: [41, 7] });
    for (let from = 0, piece = 1; from < bytes.length; from += piece++) {
      const length = Math.min(piece, bytes.length - from);
      backend.load(table, from, length, (into, offset) => {
        into.set(bytes.subarray(from + offset, from + offset + into.length));
      });
    }
    const ids = integers(backend, [41], [...Array(41).keys()], "tokens");
    const out = activation(backend, [41, 7]);
    const program = backend.record("embed", (r) => r.embed(out, table, ids));
    await backend.run(program, { tokens: 41, samples: 0 });
    const expected = Float32Array.from(new Float16Array(bytes.buffer));
    assertSame(await floats(backend, out, 41 * 7), expected, "rows");
  },
  { shardBytes: 300 },
);

gpuTest("write() and read() move a tensor in shards", async (backend) => {
  const tensor = backend.tensor({ label: "w", dtype: "f32", shape: [10, 5] });
  const values = new Random(6).floats(50);
  backend.write(tensor, values.subarray(0, 33));
  backend.write(tensor, values.subarray(33), 33);
  assertSame(await floats(backend, tensor, 50), values, "values");
  assertSame(await floats(backend, tensor, 17), values.subarray(0, 17), "leading values");
}, { shardBytes: 64 });
