/** Embedding, norms, products and the element-wise operations. */
import type { Backend, WeightDType } from "../../../kernels/backend.ts";
import {
  activation,
  assertClose,
  assertSame,
  floats,
  integers,
  multiply,
  Random,
  rowOf,
  silu,
  weight,
} from "./values.ts";

export type Case = readonly [name: string, body: (backend: Backend) => Promise<void>];

const dtypes: readonly WeightDType[] = ["f32", "f16", "bf16"];
const liveRows = [0, 1, 2, 3, 5, 7, 33];

export const matrixCases: readonly Case[] = [
  ["embed() copies rows of every dtype", async (backend) => {
    for (const dtype of dtypes) {
      const random = new Random(1);
      const [vocabulary, dim] = [29, 33];
      const table = weight(backend, dtype, [vocabulary, dim], random);
      const ids = integers(backend, [4], [28, 0, 7, 7], "tokens");
      const out = activation(backend, [4, dim]);
      const program = backend.record("embed", (r) => r.embed(out, table.tensor, ids));
      await backend.run(program, { tokens: 4, samples: 0 });
      const expected = [28, 0, 7, 7].flatMap((id) => [...rowOf(table.values, id, dim)]);
      assertSame(await floats(backend, out, 4 * dim), expected, dtype);
    }
  }],
  ["embed() takes tokens that a sampler left", async (backend) => {
    const [vocabulary, dim] = [29, 8];
    const table = weight(backend, "f16", [vocabulary, dim], new Random(1));
    const ids = integers(backend, [4], [-1, 3, -3, -1], "tokens");
    const sampled = integers(backend, [3], [5, 6, 28], "samples");
    const out = activation(backend, [4, dim]);
    const program = backend.record("embed", (r) => r.embed(out, table.tensor, ids, sampled));
    await backend.run(program, { tokens: 4, samples: 0 });
    const expected = [5, 3, 28, 5].flatMap((id) => [...rowOf(table.values, id, dim)]);
    assertSame(await floats(backend, out, 4 * dim), expected, "sampled");
  }],
  ["rmsNorm() scales rows of any width", async (backend) => {
    for (const dim of [2, 5, 33, 64, 86]) {
      const random = new Random(dim);
      const x = random.floats(3 * dim, 4);
      const scale = random.floats(dim);
      const scales = backend.tensor({ label: "norm", dtype: "f32", shape: [dim] });
      backend.write(scales, scale);
      const [input, out] = [activation(backend, [3, dim], x), activation(backend, [3, dim])];
      const program = backend.record("norm", (r) => r.rmsNorm(out, input, scales, 1e-5));
      await backend.run(program, { tokens: 3, samples: 0 });
      const expected = [0, 1, 2].flatMap((t) => [...normalise(rowOf(x, t, dim), scale, 1e-5)]);
      assertClose(await floats(backend, out, 3 * dim), expected, `dim ${dim}`);
    }
  }],
  ["linear() multiplies every dtype at every number of rows", linearEverywhere],
  ["linear() adds bias and residual", linearOptions],
  ["linear() widens every finite f16 exactly", everyHalf],
  ["linear() gives a row the same result alone and in a batch", async (backend) => {
    for (const dtype of dtypes) {
      const random = new Random(3);
      const [n, k, rows] = [45, 70, 9];
      const w = weight(backend, dtype, [n, k], random);
      const [x, out] = [
        activation(backend, [rows, k], random.floats(rows * k)),
        activation(backend, [rows, n]),
      ];
      const program = backend.record("linear", (r) => r.linear(out, x, w.tensor));
      await backend.run(program, { tokens: rows, samples: 0 });
      const together = (await floats(backend, out, n)).slice();
      await backend.run(program, { tokens: 1, samples: 0 });
      assertClose(await floats(backend, out, n), together, dtype, 1e-6);
    }
  }],
  ["swiglu() gates the up projection", async (backend) => {
    for (const dtype of dtypes) {
      for (const rows of [1, 7, 33]) {
        const random = new Random(rows);
        const [ffn, k] = [43, 33];
        const w = weight(backend, dtype, [2 * ffn, k], random, 0.5);
        const x = random.floats(rows * k, 2);
        const [input, out] = [activation(backend, [40, k]), activation(backend, [40, ffn])];
        backend.write(input, x);
        const program = backend.record("swiglu", (r) => r.swiglu(out, input, w.tensor));
        await backend.run(program, { tokens: rows, samples: 0 });
        const expected = Array.from({ length: rows }, (_, t) => {
          const both = multiply(rowOf(x, t, k), w.values, k, 2 * ffn);
          return Array.from({ length: ffn }, (_, i) => silu(both[i]!) * both[ffn + i]!);
        }).flat();
        assertClose(await floats(backend, out, rows * ffn), expected, `${dtype} ${rows} rows`);
      }
    }
  }],
  ["add(), addGated(), clear() and gather() change live rows only", elementwise],
];

function normalise(x: Float32Array, scale: Float32Array, eps: number): Float64Array {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return Float64Array.from(x, (value, i) => value / Math.sqrt(mean + eps) * scale[i]!);
}

async function linearEverywhere(backend: Backend): Promise<void> {
  const capacity = 40;
  for (const dtype of dtypes) {
    for (const [n, k] of [[1, 5], [5, 1], [8, 33], [33, 86], [86, 64], [130, 5]] as const) {
      const random = new Random(n * 100 + k);
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
        for (let t = 0; t < capacity; t++) {
          const expected = t < rows
            ? multiply(rowOf(x, t, k), w.values, k, n)
            : rowOf(untouched, t, n);
          assertClose(rowOf(actual, t, n), expected, `${dtype} [${n}, ${k}] row ${t} of ${rows}`);
        }
      }
    }
  }
}

async function linearOptions(backend: Backend): Promise<void> {
  const random = new Random(5);
  const [n, k, rows] = [21, 34, 5];
  const w = weight(backend, "f16", [n, k], random);
  const [x, before, bias] = [random.floats(rows * k), random.floats(rows * n), random.floats(n)];
  const input = activation(backend, [rows, k], x);
  const biases = backend.tensor({ label: "bias", dtype: "f32", shape: [n] });
  backend.write(biases, bias);
  for (const [useBias, add] of [[true, false], [false, true], [true, true]] as const) {
    const out = activation(backend, [rows, n], before);
    const options = useBias ? { bias: biases, add } : { add };
    const program = backend.record("linear", (r) => r.linear(out, input, w.tensor, options));
    for (const live of [1, rows]) {
      backend.write(out, before);
      await backend.run(program, { tokens: live, samples: 0 });
      const expected = Array.from({ length: live }, (_, t) =>
        Array.from(
          multiply(rowOf(x, t, k), w.values, k, n),
          (value, i) => value + (useBias ? bias[i]! : 0) + (add ? before[t * n + i]! : 0),
        )).flat();
      assertClose(await floats(backend, out, live * n), expected, `bias ${useBias} add ${add}`);
    }
  }
}

/** The identity times a matrix of all patterns: each output is one product with 1. */
async function everyHalf(backend: Backend): Promise<void> {
  const [n, k] = [1024, 64];
  const patterns = Uint16Array.from({ length: 65536 }, (_, i) => (i & 0x7c00) === 0x7c00 ? 0 : i);
  const identity = Float32Array.from({ length: k * k }, (_, i) => i % (k + 1) === 0 ? 1 : 0);
  const bytes = new Uint8Array(patterns.buffer);
  const tensor = backend.tensor({ label: "all halves", dtype: "f16", shape: [n, k] });
  backend.load(
    tensor,
    0,
    bytes.length,
    (into, at) => into.set(bytes.subarray(at, at + into.length)),
  );
  backend.seal(tensor);
  const [x, out] = [activation(backend, [k, k], identity), activation(backend, [k, n])];
  const program = backend.record("halves", (r) => r.linear(out, x, tensor));
  await backend.run(program, { tokens: k, samples: 0 });
  const actual = await floats(backend, out, k * n);
  const values = new Float16Array(patterns.buffer);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < k; j++) {
      const [a, e] = [actual[j * n + i]!, values[i * k + j]!];
      if (a !== e) throw new Error(`Pattern ${patterns[i * k + j]} became ${a}, expected ${e}`);
    }
  }
}

async function elementwise(backend: Backend): Promise<void> {
  const random = new Random(8);
  const [rows, width, live] = [6, 13, 4];
  const [x, y, z] = [
    random.floats(rows * width),
    random.floats(rows * width),
    random.floats(rows, 4),
  ];
  const [a, b] = [activation(backend, [rows, width], x), activation(backend, [rows, width], y)];
  const gate = activation(backend, [rows, 1], z);
  const picked = activation(backend, [3, width], new Float32Array(3 * width), "samples");
  const indices = integers(backend, [3], [3, 0, 3], "samples");
  const cleared = activation(backend, [rows, width], x);
  const program = backend.record("elementwise", (r) => {
    r.add(a, b);
    r.addGated(a, b, gate);
    r.gather(picked, a, indices);
    r.clear(cleared);
  });
  if (program.length !== 4) throw new Error(`Program of ${program.length} operations, expected 4`);
  await backend.run(program, { tokens: live, samples: 2 });
  const expected = Float64Array.from(x, (value, i) => {
    const row = Math.floor(i / width);
    return row < live ? value + y[i]! * (1 + 1 / (1 + Math.exp(-z[row]!))) : value;
  });
  assertClose(await floats(backend, a, rows * width), expected, "sum");
  const rowsPicked = [...expected.subarray(3 * width, 4 * width), ...expected.subarray(0, width)];
  const gathered = [...rowsPicked, ...new Float32Array(width)];
  assertClose(await floats(backend, picked, 3 * width), gathered, "gathered");
  const zeros = x.map((value, i) => i < live * width ? 0 : value);
  assertSame(await floats(backend, cleared, rows * width), zeros, "cleared");
}
