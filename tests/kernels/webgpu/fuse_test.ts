/** Norms that their readers compute give what norms of their own give, and fewer dispatches. */
import assert from "node:assert/strict";
import type { Recorder, Tensor } from "../../../kernels/backend.ts";
import type { WebGpuBackend } from "../../../kernels/webgpu/mod.ts";
import { gpuTest } from "../../support/gpu.ts";
import {
  activation,
  assertNear,
  floats,
  integers,
  multiply,
  Random,
  relativeErrors,
  rowOf,
  silu,
  weight,
} from "../contract/values.ts";

const [capacity, dim, ffn, eps] = [20, 64, 24, 1e-5];

/** Operands of a small network, and what they hold. */
function operands(backend: WebGpuBackend) {
  const random = new Random(1);
  const values = { x: random.floats(capacity * dim, 3), scale: random.floats(dim) };
  const scale = backend.tensor({ label: "scale", dtype: "f32", shape: [dim] });
  backend.write(scale, values.scale);
  return {
    values,
    scale,
    x: activation(backend, [capacity, dim], values.x),
    normed: activation(backend, [capacity, dim]),
    out: activation(backend, [capacity, ffn]),
    w: weight(backend, "f16", [ffn, dim], random),
    gateUp: weight(backend, "bf16", [2 * ffn, dim], random, 0.1),
  };
}

function normRow(x: Float32Array, scale: Float32Array): Float64Array {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return Float64Array.from(x, (value, i) => value / Math.sqrt(mean + eps) * scale[i]!);
}

/** Runs what `build` records; how many kernels it took, those that arrange weights aside. */
async function dispatches(
  backend: WebGpuBackend,
  tokens: number,
  build: (r: Recorder) => void,
): Promise<number> {
  const program = backend.record("fused", build);
  await backend.run(program, { tokens: 0, samples: 0 });
  const before = backend.counters.dispatches;
  await backend.run(program, { tokens, samples: 0 });
  return backend.counters.dispatches - before;
}

gpuTest("fuseNorms() drops a norm whose readers compute it", async (backend) => {
  const { values, scale, x, normed, out, w, gateUp } = operands(backend);
  const build = (r: Recorder) => {
    r.rmsNorm(normed, x, scale, eps);
    r.linear(out, normed, w.tensor);
    r.swiglu(out, normed, gateUp.tensor);
    r.rmsNorm(normed, x, scale, eps);
  };
  // The last norm stays; with many rows so does the first.
  assert.equal(await dispatches(backend, 3, build), 3);
  await checkSwiglu(3);
  assert.equal(await dispatches(backend, capacity, build), 4);
  await checkSwiglu(capacity);
  const rows = await floats(backend, normed, capacity * dim);
  const expected = Array.from(
    { length: capacity },
    (_, t) => [...normRow(rowOf(values.x, t, dim), values.scale)],
  );
  assertNear(rows, expected.flat(), "the norm that stays", 1e-6);

  async function checkSwiglu(rows: number): Promise<void> {
    const expected = Array.from({ length: rows }, (_, t) => {
      const row = normRow(rowOf(values.x, t, dim), values.scale);
      const both = multiply(row, gateUp.values, dim, 2 * ffn);
      return Array.from({ length: ffn }, (_, i) => silu(both[i]!) * both[ffn + i]!);
    });
    assertNear(await floats(backend, out, rows * ffn), expected.flat(), `${rows} rows`, 1e-5);
  }
}, { tuning: { fewRows: 16, fewResults: 0 } });

const kept: Readonly<Record<string, (r: Recorder, t: ReturnType<typeof operands>) => void>> = {
  "may be read after the run": (r, t) => r.linear(t.out, t.normed, t.w.tensor),
  "has a reader that does not": (r, t) => {
    r.linear(t.out, t.normed, t.w.tensor);
    r.add(t.x, t.normed);
    r.rmsNorm(t.normed, t.x, t.scale, eps);
  },
  "has an input that changes first": (r, t) => {
    r.clear(t.x);
    r.linear(t.out, t.normed, t.w.tensor);
    r.rmsNorm(t.normed, t.x, t.scale, eps);
  },
};

for (const [why, build] of Object.entries(kept)) {
  gpuTest(`fuseNorms() keeps a norm that ${why}`, async (backend) => {
    const t = operands(backend);
    await dispatches(backend, 2, (r) => {
      r.rmsNorm(t.normed, t.x, t.scale, eps);
      build(r, t);
    });
    const expected = [0, 1].flatMap((row) => {
      const normed = normRow(rowOf(t.values.x, row, dim), t.values.scale);
      return [...multiply(normed, t.w.values, dim, ffn)];
    });
    assertNear(await floats(backend, t.out, 2 * ffn), expected, why, 1e-5);
    if (why === "may be read after the run") {
      const normed = [0, 1].flatMap((i) => [...normRow(rowOf(t.values.x, i, dim), t.values.scale)]);
      assertNear(await floats(backend, t.normed, 2 * dim), normed, why, 1e-6);
    }
  });
}

gpuTest("fuseNorms() keeps a norm where one of its readers would rather not", async (backend) => {
  const t = operands(backend);
  const blocks = weight(backend, "q8_0", [ffn, dim], new Random(2)).tensor;
  const build = (r: Recorder) => {
    r.rmsNorm(t.normed, t.x, t.scale, eps);
    r.linear(t.out, t.normed, blocks);
    r.linear(t.out, t.normed, t.w.tensor);
    r.rmsNorm(t.normed, t.x, t.scale, eps);
  };
  assert.equal(await dispatches(backend, 2, build), 4);
}, { tuning: { packed: 0 } });

gpuTest("fuseNorms() lets products in integers compute their norm", async (backend) => {
  const wide = 512;
  const random = new Random(7);
  const [x, norm] = [random.floats(capacity * wide, 3), random.floats(wide)];
  const scale = backend.tensor({ label: "scale", dtype: "f32", shape: [wide] });
  backend.write(scale, norm);
  const [input, normed, out] = [
    activation(backend, [capacity, wide], x),
    activation(backend, [capacity, wide]),
    activation(backend, [capacity, ffn]),
  ];
  for (const dtype of ["q8_0", "q4_0", "q4_k"] as const) {
    const w = weight(backend, dtype, [ffn, wide], random);
    const build = (r: Recorder) => {
      r.rmsNorm(normed, input, scale, eps);
      r.linear(out, normed, w.tensor);
      r.rmsNorm(normed, input, scale, eps);
    };
    for (const rows of [1, 5]) {
      assert.equal(await dispatches(backend, rows, build), 2);
      const expected = Array.from(
        { length: rows },
        (_, t) => [...multiply(normRow(rowOf(x, t, wide), norm), w.values, wide, ffn)],
      );
      const actual = await floats(backend, out, rows * ffn);
      assertNear(actual, expected.flat(), `${dtype}, ${rows} rows`, relativeErrors[dtype]);
    }
  }
}, { tuning: { packed: 1 } });

gpuTest("fuseNorms() lets routing and experts compute their norm", async (backend) => {
  const { scale, x, normed } = operands(backend);
  const random = new Random(5);
  const [count, topK] = [4, 2];
  const gate = weight(backend, "f32", [count, dim], random, 0.3);
  const gateUp = weight(backend, "f16", [count, 2 * ffn, dim], random, 0.2).tensor;
  const down = weight(backend, "f16", [count, dim, ffn], random, 0.2).tensor;
  const choice = {
    experts: integers(backend, [capacity, topK], undefined, "tokens"),
    weights: activation(backend, [capacity, topK]),
  };
  const layer = (out: Tensor) => (r: Recorder) => {
    r.rmsNorm(normed, x, scale, eps);
    r.route(choice, normed, gate.tensor, { normalise: true });
    r.experts(out, normed, choice, { first: 0, count, gateUp, down });
  };
  const [whole, fused] = [
    activation(backend, [capacity, dim]),
    activation(backend, [capacity, dim]),
  ];
  for (const tokens of [1, 5]) {
    const separate = await dispatches(backend, tokens, (r) => {
      r.clear(whole);
      layer(whole)(r);
    });
    const expected = (await floats(backend, whole, tokens * dim)).slice();
    const together = await dispatches(backend, tokens, (r) => {
      r.clear(fused);
      layer(fused)(r);
      r.rmsNorm(normed, x, scale, eps);
    });
    assert.equal(together, separate);
    assertNear(await floats(backend, fused, tokens * dim), expected, `${tokens} tokens`, 1e-5);
  }
}, { tuning: { groupedRows: 2, tiledRows: 1000, largeTiledRows: 1000 } });
