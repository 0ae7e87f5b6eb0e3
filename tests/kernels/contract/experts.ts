/** Routing and experts. */
import type { Backend, ExpertWeights, WeightDType } from "../../../kernels/backend.ts";
import type { Case } from "./matrices.ts";
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

export const expertCases: readonly Case[] = [
  ["route() picks the most probable experts", route],
  ["route() gives equal scores to the lower index", async (backend) => {
    const [dim, experts, topK] = [4, 6, 3];
    const gate = weight(backend, "f32", [experts, dim], new Random(1), 0);
    const x = activation(backend, [2, dim], new Random(2).floats(2 * dim));
    const choice = {
      experts: integers(backend, [2, topK], undefined, "tokens"),
      weights: activation(backend, [2, topK]),
    };
    const program = backend.record(
      "ties",
      (r) => r.route(choice, x, gate.tensor, { normalise: false }),
    );
    await backend.run(program, { tokens: 2, samples: 0 });
    assertSame(
      await backend.read(choice.experts, new Int32Array(6)),
      [0, 1, 2, 0, 1, 2],
      "experts",
    );
    assertClose(await floats(backend, choice.weights, 6), Array(6).fill(1 / 6), "weights");
  }],
  ["experts() adds the chosen ones of every dtype", async (backend) => {
    for (const dtype of ["f32", "f16", "bf16"] as const) await experts(backend, dtype, 33, 86);
  }],
  ["experts() takes odd dimensions", (backend) => experts(backend, "f16", 5, 13)],
];

async function route(backend: Backend): Promise<void> {
  const [dim, count, topK, rows] = [33, 11, 4, 7];
  const random = new Random(4);
  const gate = weight(backend, "bf16", [count, dim], random, 0.3);
  const x = random.floats(rows * dim, 2);
  const input = activation(backend, [rows, dim], x);
  const choice = {
    experts: integers(backend, [rows, topK], undefined, "tokens"),
    weights: activation(backend, [rows, topK]),
  };
  for (const normalise of [true, false]) {
    const program = backend.record(
      "route",
      (r) => r.route(choice, input, gate.tensor, { normalise }),
    );
    await backend.run(program, { tokens: rows, samples: 0 });
    const chosen = await backend.read(choice.experts, new Int32Array(rows * topK));
    const weights = await floats(backend, choice.weights, rows * topK);
    for (let t = 0; t < rows; t++) {
      const scores = multiply(rowOf(x, t, dim), gate.values, dim, count);
      const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, topK);
      const masses = scores.map(Math.exp);
      const kept = normalise
        ? order.reduce((sum, e) => sum + masses[e]!, 0)
        : masses.reduce((a, b) => a + b);
      assertSame(chosen.subarray(t * topK, (t + 1) * topK), order, `experts of row ${t}`);
      assertClose(
        rowOf(weights, t, topK),
        order.map((e) => masses[e]! / kept),
        `weights of row ${t}`,
      );
    }
  }
}

/**
 * Two shards hold experts 0 to 4 and 5 to 6 of 8; both add to the same rows. Expert 7 is held nowhere, and some
 * choices are of none.
 */
async function experts(
  backend: Backend,
  dtype: WeightDType,
  dim: number,
  ffn: number,
): Promise<void> {
  const [capacity, topK] = [34, 3];
  const random = new Random(dim);
  const shards = [
    shard(backend, dtype, 0, 5, dim, ffn, random),
    shard(backend, dtype, 5, 2, dim, ffn, random),
  ];
  const x = random.floats(capacity * dim, 2);
  const before = random.floats(capacity * dim);
  const chosen = Int32Array.from(
    { length: capacity * topK },
    (_, i) => i % 11 === 6 ? -1 : (random.below(2) + i * 3) % 8,
  );
  const weights = random.floats(capacity * topK);
  const [input, out] = [
    activation(backend, [capacity, dim], x),
    activation(backend, [capacity, dim]),
  ];
  const choice = {
    experts: integers(backend, [capacity, topK], chosen, "tokens"),
    weights: activation(backend, [capacity, topK], weights),
  };
  const program = backend.record("experts", (r) => {
    for (const { held } of shards) r.experts(out, input, choice, held);
  });
  for (const rows of [0, 1, 2, 7, 33]) {
    backend.write(out, before);
    await backend.run(program, { tokens: rows, samples: 0 });
    const actual = await floats(backend, out, capacity * dim);
    for (let t = 0; t < capacity; t++) {
      const expected = Float64Array.from(rowOf(before, t, dim));
      for (let slot = t * topK; t < rows && slot < (t + 1) * topK; slot++) {
        const contribution = expert(shards, chosen[slot]!, rowOf(x, t, dim), dim, ffn);
        contribution?.forEach((value, i) => expected[i]! += weights[slot]! * value);
      }
      assertClose(rowOf(actual, t, dim), expected, `${dtype} row ${t} of ${rows}`);
    }
  }
}

interface Shard {
  readonly held: ExpertWeights;
  readonly gateUp: Float32Array;
  readonly down: Float32Array;
}

function shard(
  backend: Backend,
  dtype: WeightDType,
  first: number,
  count: number,
  dim: number,
  ffn: number,
  random: Random,
): Shard {
  const gateUp = weight(backend, dtype, [count, 2 * ffn, dim], random, 0.2);
  const down = weight(backend, dtype, [count, dim, ffn], random, 0.2);
  const held = { first, count, gateUp: gateUp.tensor, down: down.tensor };
  return { held, gateUp: gateUp.values, down: down.values };
}

function expert(
  shards: readonly Shard[],
  index: number,
  x: Float32Array,
  dim: number,
  ffn: number,
): Float64Array | undefined {
  const found = shards.find(({ held }) => index >= held.first && index < held.first + held.count);
  if (!found) return undefined;
  const local = index - found.held.first;
  const both = multiply(x, found.gateUp, dim, 2 * ffn, local * 2 * ffn);
  const inner = Float64Array.from({ length: ffn }, (_, i) => silu(both[i]!) * both[ffn + i]!);
  return multiply(inner, found.down, ffn, dim, local * dim);
}
