import type { Backend, Recorder, Tensor, WeightDType } from "../../kernels/mod.ts";
import { weight, weightBytes, weightDTypes, weightTolerance } from "./weights.ts";
import { copiesOf, counts, input, mostRows, output, recordMany, type Size } from "./workload.ts";
import type { Prepared, Workload } from "./workload.ts";

interface Product {
  readonly kernel: string;
  /** Rows and columns of the weight, and columns of the result. */
  readonly n: number;
  readonly k: number;
  readonly width: number;
  record(recorder: Recorder, out: Tensor, x: Tensor, weight: Tensor): void;
}

const linear = (n: number, k: number): Product => ({
  ...{ kernel: "linear", n, k, width: n },
  record: (recorder, out, x, weight) => recorder.linear(out, x, weight),
});

const swiglu = (ffn: number, k: number): Product => ({
  ...{ kernel: "swiglu", n: 2 * ffn, k, width: ffn },
  record: (recorder, out, x, weight) => recorder.swiglu(out, x, weight),
});

/** Products with a weight: down projections in every dtype; feed-forward and head in the common ones. */
export const matrices: readonly Workload[] = [
  ...weightDTypes.map((dtype) => workload(linear(1024, 2816), linear(40, 512), dtype)),
  ...(["f16", "q8_0"] as const).flatMap((dtype) => [
    workload(swiglu(2816, 1024), swiglu(24, 256), dtype),
    workload(linear(32000, 1024), linear(40, 512), dtype),
  ]),
];

function workload(full: Product, small: Product, dtype: WeightDType): Workload {
  return {
    kernel: full.kernel,
    dtype,
    shape: `${full.n}x${full.k}`,
    rows: [1, 8, 32, mostRows],
    checkRows: 5,
    tolerance: weightTolerance(dtype),
    prepare: (backend, size) => prepare(backend, size === "check" ? small : full, dtype, size),
  };
}

function prepare(
  backend: Backend,
  { n, k, width, record }: Product,
  dtype: WeightDType,
  size: Size,
): Prepared {
  const bytes = weightBytes(dtype, n * k);
  const weights = Array.from(
    { length: copiesOf(bytes, size) },
    () => weight(backend, dtype, [n, k]),
  );
  const x = input(backend, mostRows, k), out = output(backend, mostRows, width);
  const over = (operations: number) =>
    recordMany(backend, operations, (recorder, i) => record(recorder, out, x, weights[i]!));
  const [all, few] = [over(weights.length), over(Math.min(weights.length, 4))];
  return {
    outputs: [out],
    at: (rows) => ({
      program: rows <= 8 ? all : few,
      counts: counts(rows),
      operations: rows <= 8 ? weights.length : Math.min(weights.length, 4),
      bytes,
      flop: 2 * n * k * rows,
    }),
  };
}
