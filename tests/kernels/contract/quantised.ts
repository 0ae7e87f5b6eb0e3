/** Weights in blocks: every operation that takes them, within the error of their dtype. */
import type { Backend, Tensor, WeightDType } from "../../../kernels/backend.ts";
import { blocks } from "../../../kernels/dtype.ts";
import type { Case } from "./matrices.ts";
import {
  activation,
  assertNear,
  assertRefused,
  assertSame,
  type ContractTarget,
  floats,
  integers,
  multiply,
  Random,
  relativeErrors,
  rowOf,
  silu,
  weight,
} from "./values.ts";

const dtypes = ["q8_0", "q4_0", "q4_k", "q6_k"] as const;
const capacity = 140;
const liveRows = [0, 1, 2, 3, 4, 5, 7, 33, 140];

export const quantisedCases: readonly Case[] = [
  ["embed() dequantises rows", embed],
  ["linear() multiplies quantised weights at every number of rows", linear],
  ["linear() writes columns, with bias and residual", columns],
  ["linear() gives a row the same bits alone and in a batch of quantised weights", alone],
  ["linear() passes on zeros and tiny and huge activations", extremes],
  ["swiglu() gates quantised projections", swiglu],
  ["experts() adds chosen ones of quantised weights", async (backend) => {
    for (const dtype of dtypes) await experts(backend, dtype, dtype);
    await experts(backend, "q4_k", "q6_k");
    await experts(backend, "q8_0", "f16");
    await experts(backend, "f32", "q4_0");
  }],
  ["tensor() refuses rows that are not whole blocks", async (backend) => {
    for (const dtype of dtypes) {
      const spec = { label: "odd", dtype, shape: [4, 48] };
      await assertRefused(() => backend.tensor(spec), "InvalidShape", "48");
    }
  }],
];

async function embed(backend: Backend): Promise<void> {
  for (const dtype of dtypes) {
    const dim = 2 * blocks[dtype].elements;
    const table = weight(backend, dtype, [29, dim], new Random(1));
    const ids = integers(backend, [4], [28, 0, 7, 15], "tokens");
    const out = activation(backend, [4, dim]);
    const program = backend.record("embed", (r) => r.embed(out, table.tensor, ids));
    await backend.run(program, { tokens: 4, samples: 0 });
    const expected = [28, 0, 7, 15].flatMap((id) => [...rowOf(table.values, id, dim)]);
    assertNear(await floats(backend, out, 4 * dim), expected, dtype, 1e-6);
  }
}

async function linear(backend: Backend): Promise<void> {
  for (const dtype of dtypes) {
    for (const [n, size] of [[1, 1], [8, 2], [33, 3]] as const) {
      const k = size * blocks[dtype].elements;
      const random = new Random(n * 100 + k);
      const w = weight(backend, dtype, [n, k], random, 0.1);
      const x = random.floats(capacity * k, 3);
      const [input, out] = [
        activation(backend, [capacity, k], x),
        activation(backend, [capacity, n]),
      ];
      const program = backend.record("linear", (r) => r.linear(out, input, w.tensor));
      for (const rows of liveRows) {
        const untouched = new Float32Array(capacity * n).fill(7);
        backend.write(out, untouched);
        await backend.run(program, { tokens: rows, samples: 0 });
        const actual = await floats(backend, out, capacity * n);
        const expected = Array.from({ length: rows }, (_, t) => [
          ...multiply(rowOf(x, t, k), w.values, k, n),
        ]).flat();
        const what = `${dtype} [${n}, ${k}], ${rows} rows`;
        // One output may be a small difference of large terms.
        const tolerance = relativeErrors[dtype] * (expected.length < 8 ? 8 : 1);
        if (rows > 0) assertNear(actual.subarray(0, rows * n), expected, what, tolerance);
        assertSame(actual.subarray(rows * n), untouched.subarray(rows * n), what);
      }
    }
  }
}

async function columns(backend: Backend): Promise<void> {
  const [k, rows, width] = [256, 5, 60];
  for (const dtype of ["f16", ...dtypes] as const) {
    const random = new Random(5);
    const w = weight(backend, dtype, [21, k], random);
    const [x, before] = [random.floats(rows * k), random.floats(rows * width)];
    const biases = random.floats(21);
    const bias = backend.tensor({ label: "bias", dtype: "f32", shape: [21] });
    backend.write(bias, biases);
    const [input, out] = [activation(backend, [rows, k], x), activation(backend, [rows, width])];
    backend.write(out, before);
    const options = { bias, add: true, column: 30 };
    const program = backend.record("columns", (r) => r.linear(out, input, w.tensor, options));
    await backend.run(program, { tokens: rows, samples: 0 });
    const expected = Float64Array.from(before);
    for (let t = 0; t < rows; t++) {
      multiply(rowOf(x, t, k), w.values, k, 21).forEach((value, i) => {
        expected[t * width + 30 + i]! += value + biases[i]!;
      });
    }
    assertNear(await floats(backend, out, rows * width), expected, dtype, relativeErrors[dtype]);
    const wrong = { column: 40 };
    await assertRefused(
      () => backend.record("columns", (r) => r.linear(out, input, w.tensor, wrong)),
      "InvalidShape",
      "linear",
    );
  }
}

async function alone(backend: Backend): Promise<void> {
  for (const dtype of dtypes) {
    const random = new Random(3);
    const [n, k, rows] = [45, 512, 9];
    const w = weight(backend, dtype, [n, k], random);
    const x = random.floats(rows * k);
    const [input, out] = [activation(backend, [rows, k], x), activation(backend, [rows, n])];
    const program = backend.record("linear", (r) => r.linear(out, input, w.tensor));
    await backend.run(program, { tokens: rows, samples: 0 });
    const together = (await floats(backend, out, rows * n)).slice();
    for (let t = 0; t < rows; t++) {
      backend.write(input, rowOf(x, t, k));
      await backend.run(program, { tokens: 1, samples: 0 });
      assertSame(await floats(backend, out, n), rowOf(together, t, n), `${dtype} row ${t}`);
    }
  }
}

async function extremes(backend: Backend): Promise<void> {
  for (const dtype of dtypes) {
    const [n, k] = [9, 256];
    for (const scale of [0, 1e-30, 1e25]) {
      const random = new Random(7);
      const w = weight(backend, dtype, [n, k], random, 1e-3);
      const x = random.floats(2 * k, scale);
      const [input, out] = [activation(backend, [2, k], x), activation(backend, [2, n])];
      const program = backend.record("linear", (r) => r.linear(out, input, w.tensor));
      await backend.run(program, { tokens: 2, samples: 0 });
      const actual = await floats(backend, out, 2 * n);
      const expected = [0, 1].flatMap((t) => [...multiply(rowOf(x, t, k), w.values, k, n)]);
      if (scale === 0) assertSame(actual.map(Math.abs), new Float32Array(2 * n), dtype);
      else assertNear(actual, expected, `${dtype} ${scale}`, relativeErrors[dtype]);
    }
  }
}

async function swiglu(backend: Backend): Promise<void> {
  for (const dtype of dtypes) {
    for (const rows of [1, 7, 33]) {
      const random = new Random(rows);
      const [ffn, k] = [43, 256];
      const w = weight(backend, dtype, [2 * ffn, k], random, 0.2);
      const x = random.floats(rows * k, 2);
      const [input, out] = [activation(backend, [40, k]), activation(backend, [40, ffn])];
      backend.write(input, x);
      const program = backend.record("swiglu", (r) => r.swiglu(out, input, w.tensor));
      await backend.run(program, { tokens: rows, samples: 0 });
      const expected = Array.from({ length: rows }, (_, t) => gated(rowOf(x, t, k), w.values, ffn));
      const actual = await floats(backend, out, rows * ffn);
      const tolerance = 2 * relativeErrors[dtype];
      assertNear(actual, expected.flatMap((row) => [...row]), `${dtype} ${rows} rows`, tolerance);
    }
  }
}

function gated(x: ArrayLike<number>, gateUp: Float32Array, ffn: number, from = 0): Float64Array {
  const both = multiply(x, gateUp, x.length, 2 * ffn, from);
  return Float64Array.from({ length: ffn }, (_, i) => silu(both[i]!) * both[ffn + i]!);
}

/** Experts 0 to 4 of 6 are held; each token chooses two. */
async function experts(backend: Backend, first: WeightDType, second: WeightDType): Promise<void> {
  const [dim, ffn, count, topK, most] = [256, 256, 5, 2, 34];
  const random = new Random(11);
  const gateUp = weight(backend, first, [count, 2 * ffn, dim], random, 0.1);
  const down = weight(backend, second, [count, dim, ffn], random, 0.1);
  const x = random.floats(most * dim);
  const chosen = Int32Array.from({ length: most * topK }, (_, i) => (i * 7 + (i >> 3)) % 6);
  const weights = random.floats(most * topK);
  const [input, out] = [activation(backend, [most, dim], x), activation(backend, [most, dim])];
  const choice = {
    experts: integers(backend, [most, topK], chosen, "tokens"),
    weights: activation(backend, [most, topK], weights),
  };
  const held = { first: 0, count, gateUp: gateUp.tensor, down: down.tensor };
  const program = backend.record("experts", (r) => {
    r.clear(out);
    r.experts(out, input, choice, held);
  });
  for (const rows of [0, 1, 3, 34]) {
    await backend.run(program, { tokens: rows, samples: 0 });
    if (rows === 0) continue;
    const expected = new Float64Array(rows * dim);
    for (let slot = 0; slot < rows * topK; slot++) {
      const [t, e] = [Math.floor(slot / topK), chosen[slot]!];
      if (e >= count) continue;
      const inner = gated(rowOf(x, t, dim), gateUp.values, ffn, e * 2 * ffn);
      multiply(inner, down.values, ffn, dim, e * dim)
        .forEach((value, i) => expected[t * dim + i]! += weights[slot]! * value);
    }
    const actual = await floats(backend, out, rows * dim);
    const tolerance = 3 * Math.max(relativeErrors[first], relativeErrors[second]);
    assertNear(actual, expected, `${first} ${second}, ${rows} rows`, tolerance);
  }
}

/** Registers the case that compares numbers of threads. */
export function quantisedThreads(target: ContractTarget): void {
  if (target.threads.length === 1) return;
  Deno.test(`Numbers of threads agree bit by bit on quantised weights [${target.name}]`, async () => {
    const results = [];
    for (const threads of target.threads) results.push(await products(target, threads));
    for (const result of results) assertSame(result, results[0]!, "values");
  });
}

/** Products of every quantised dtype, of one row and of many. */
export async function products(target: ContractTarget, threads: number): Promise<Float32Array> {
  await using created = await target.create({ threads });
  const { backend } = created;
  const random = new Random(21);
  const [n, k, most] = [203, 512, 70];
  const input = activation(backend, [most, k], random.floats(most * k));
  const results: number[] = [];
  for (const dtype of dtypes) {
    const w = weight(backend, dtype, [n, k], random).tensor;
    const out: Tensor = activation(backend, [most, n]);
    const program = backend.record("linear", (r) => r.linear(out, input, w));
    for (const tokens of [1, 6, most]) {
      await backend.run(program, { tokens, samples: 0 });
      results.push(...await floats(backend, out, tokens * n));
    }
  }
  return Float32Array.from(results);
}
