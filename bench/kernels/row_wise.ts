import type { Backend, Recorder, Tensor } from "../../kernels/mod.ts";
import { weight } from "./weights.ts";
import { counts, input, integers, mostRows, output, recordMany } from "./workload.ts";
import type { Prepared, Workload } from "./workload.ts";

const dim = 1024;
const repeats = 64;

interface Operands {
  readonly out: Tensor;
  readonly x: Tensor;
  readonly norm: Tensor;
  readonly gate: Tensor;
  readonly ids: Tensor;
  readonly table: Tensor;
}

/** An operation on rows, with the reads and the operations for one number. */
interface RowOperation {
  readonly reads: number;
  readonly flop: number;
  record(recorder: Recorder, operands: Operands): void;
}

const operations: Readonly<Record<string, RowOperation>> = {
  rmsNorm: { reads: 4, flop: 4, record: (r, { out, x, norm }) => r.rmsNorm(out, x, norm, 1e-5) },
  add: { reads: 8, flop: 1, record: (r, { out, x }) => r.add(out, x) },
  addGated: { reads: 8, flop: 2, record: (r, { out, x, gate }) => r.addGated(out, x, gate) },
  embed: { reads: 2, flop: 0, record: (r, { out, table, ids }) => r.embed(out, table, ids) },
  clear: { reads: 0, flop: 0, record: (r, { out }) => r.clear(out) },
};

/** What goes row by row: little work, so mostly the cost of a step with its barrier. */
export const rowWise: readonly Workload[] = Object.entries(operations).map(
  ([kernel, operation]): Workload => ({
    kernel,
    dtype: kernel === "embed" ? "f16" : "f32",
    shape: String(dim),
    rows: [1, mostRows],
    checkRows: 5,
    tolerance: 1e-4,
    prepare: (backend) => prepare(backend, operation),
  }),
);

function prepare(backend: Backend, operation: RowOperation): Prepared {
  const out = output(backend, mostRows, dim);
  const norm = backend.tensor({ label: "norm", dtype: "f32", shape: [dim] });
  backend.write(norm, new Float32Array(dim).fill(0.5));
  const operands = {
    ...{ out, norm, x: input(backend, mostRows, dim), gate: input(backend, mostRows, 1) },
    ids: integers(backend, [mostRows], Array.from({ length: mostRows }, (_, i) => i), "tokens"),
    table: weight(backend, "f16", [mostRows, dim]),
  };
  const program = recordMany(backend, repeats, (recorder) => operation.record(recorder, operands));
  return {
    outputs: [out],
    at: (rows) => ({
      ...{ program, counts: counts(rows), operations: repeats },
      bytes: rows * dim * operation.reads,
      flop: rows * dim * operation.flop,
    }),
  };
}
