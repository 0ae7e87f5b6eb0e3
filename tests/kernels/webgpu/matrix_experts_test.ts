/** Experts of many shapes of batch: taken slot by slot, grouped, and grouped in tiles. */
import type { Backend } from "../../../kernels/backend.ts";
import { gpuTest, openBackend } from "../../support/gpu.ts";
import {
  activation,
  assertNear,
  assertSame,
  floats,
  integers,
  multiply,
  Random,
  rowOf,
  silu,
  weight,
} from "../contract/values.ts";

const [dim, ffn, count, tokens] = [48, 40, 5, 150];
/** Experts are held from this one on; two below and one above are not. */
const first = 2;

async function compute(
  backend: Backend,
  topK: number,
): Promise<{ actual: Float32Array; expected: number[] }> {
  const random = new Random(1);
  // Tokens crowd at one expert; some choose none that is held.
  const chosen = Int32Array.from(
    { length: tokens * topK },
    (_, i) => i % topK === 0 && i % 2 === 0 ? 3 : (i * 5 + Math.floor(i / 7)) % (first + count + 1),
  );
  const gateUp = weight(backend, "f16", [count, 2 * ffn, dim], random, 0.2);
  const down = weight(backend, "f32", [count, dim, ffn], random, 0.2);
  const [x, masses] = [random.floats(tokens * dim), random.floats(tokens * topK)];
  const before = random.floats(tokens * dim);
  const [input, out] = [
    activation(backend, [tokens, dim], x),
    activation(backend, [tokens, dim], before),
  ];
  const choice = {
    experts: integers(backend, [tokens, topK], chosen, "tokens"),
    weights: activation(backend, [tokens, topK], masses),
  };
  const held = { first, count, gateUp: gateUp.tensor, down: down.tensor };
  const program = backend.record("experts", (r) => r.experts(out, input, choice, held));
  await backend.run(program, { tokens, samples: 0 });
  const expected = [...before];
  for (let slot = 0; slot < tokens * topK; slot++) {
    const [t, e] = [Math.floor(slot / topK), chosen[slot]! - first];
    if (e < 0 || e >= count) continue;
    const both = multiply(rowOf(x, t, dim), gateUp.values, dim, 2 * ffn, e * 2 * ffn);
    const inner = Float64Array.from({ length: ffn }, (_, i) => silu(both[i]!) * both[ffn + i]!);
    multiply(inner, down.values, ffn, dim, e * dim)
      .forEach((value, i) => expected[t * dim + i]! += masses[slot]! * value);
  }
  return { actual: (await floats(backend, out, tokens * dim)).slice(), expected };
}

const never = { groupedRows: 1e9, tiledRows: 1e9, largeTiledRows: 1e9 };
const ways = {
  "slot by slot": never,
  "in groups": { ...never, groupedRows: 0 },
  "in small tiles": { ...never, groupedRows: 0, tiledRows: 0 },
  "in large tiles": { groupedRows: 0, tiledRows: 0, largeTiledRows: 0 },
  // Of 64 tokens each.
  "in parts": { ...never, groupedRows: 0, expertBytes: 4 * 3 * dim * 64 },
};

for (const [way, tuning] of Object.entries(ways)) {
  const name = `experts() agrees with float64 ${way}, every time with the same bits`;
  gpuTest(name, async (backend) => {
    await using other = await openBackend({ tuning });
    for (const topK of [3, 1]) {
      const { actual, expected } = await compute(backend, topK);
      assertNear(actual, expected, `${way}, ${topK} a token`, 1e-6);
      assertSame((await compute(other.backend, topK)).actual, actual, "again");
    }
  }, { tuning });
}
