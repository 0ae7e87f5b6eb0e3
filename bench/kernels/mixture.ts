import type { Backend, ExpertChoice, WeightDType } from "../../kernels/mod.ts";
import { uniform } from "../weights/mod.ts";
import { weight, weightBytes, weightTolerance } from "./weights.ts";
import { copiesOf, counts, input, integers, mostRows, output, recordMany } from "./workload.ts";
import type { Prepared, Size, Workload } from "./workload.ts";

interface Mixture {
  readonly count: number;
  readonly perToken: number;
  readonly dim: number;
  readonly ffn: number;
}

const full: Mixture = { count: 32, perToken: 4, dim: 1024, ffn: 768 };
const small: Mixture = { count: 6, perToken: 3, dim: 256, ffn: 256 };
const rows = [1, 8, 32, mostRows];
const routings = 64;

/** Experts in the common dtypes, and the choice among them. */
export const mixtures: readonly Workload[] = [
  ...(["f16", "q8_0"] as const).map((dtype): Workload => ({
    kernel: "experts",
    dtype,
    shape: `${full.perToken} of ${full.count} x 3 x ${full.ffn}x${full.dim}`,
    rows,
    checkRows: 7,
    tolerance: 2 * weightTolerance(dtype),
    prepare: (backend, size) => experts(backend, size === "check" ? small : full, dtype, size),
  })),
  {
    kernel: "route",
    dtype: "f32",
    shape: `${full.perToken} of ${full.count} x ${full.dim}`,
    rows,
    checkRows: 7,
    tolerance: 1e-3,
    prepare: (backend, size) => route(backend, size === "check" ? small : full),
  },
];

function experts(backend: Backend, mixture: Mixture, dtype: WeightDType, size: Size): Prepared {
  const { count, perToken, dim, ffn } = mixture;
  const expertBytes = weightBytes(dtype, 3 * ffn * dim);
  const copies = copiesOf(count * expertBytes, size);
  const layers = Array.from({ length: copies }, () => ({
    first: 0,
    count,
    gateUp: weight(backend, dtype, [count, 2 * ffn, dim]),
    down: weight(backend, dtype, [count, dim, ffn]),
  }));
  const ids = choices(mixture);
  const choice = makeChoice(backend, mixture, ids);
  const x = input(backend, mostRows, dim), out = output(backend, mostRows, dim);
  const program = recordMany(backend, copies, (recorder, i) => {
    recorder.clear(out);
    recorder.experts(out, x, choice, layers[i]!);
  });
  return {
    outputs: [out],
    at: (rows) => ({
      ...{ program, counts: counts(rows), operations: copies },
      bytes: new Set(ids.slice(0, rows * perToken)).size * expertBytes,
      flop: 2 * 3 * ffn * dim * perToken * rows,
    }),
  };
}

function route(backend: Backend, mixture: Mixture): Prepared {
  const { count, dim } = mixture;
  const gate = weight(backend, "f32", [count, dim]);
  const choice = makeChoice(backend, mixture, choices(mixture));
  const x = input(backend, mostRows, dim);
  const program = recordMany(backend, routings, (recorder) => {
    recorder.route(choice, x, gate, { normalise: true });
  });
  return {
    outputs: [choice.weights],
    at: (rows) => ({
      ...{ program, counts: counts(rows), operations: routings },
      bytes: weightBytes("f32", count * dim),
      flop: 2 * count * dim * rows,
    }),
  };
}

/** Distinct random experts for every row. */
function choices({ count, perToken }: Mixture): number[] {
  const random = uniform(11);
  return Array.from({ length: mostRows }, () => {
    const chosen = new Set<number>();
    while (chosen.size < perToken) chosen.add(Math.floor(random() * count));
    return [...chosen];
  }).flat();
}

function makeChoice(backend: Backend, { perToken }: Mixture, ids: readonly number[]): ExpertChoice {
  const weights = output(backend, mostRows, perToken);
  backend.write(weights, new Float32Array(mostRows * perToken).fill(1 / perToken));
  return { experts: integers(backend, [mostRows, perToken], ids, "tokens"), weights };
}
