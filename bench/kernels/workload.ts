import type { Backend, Counts, Program, Recorder, Rows, Tensor } from "../../kernels/mod.ts";
import { uniform } from "../weights/mod.ts";

/** `check` is small, to be compared with the reference; `quick` reads less memory than `full`. */
export type Size = "check" | "quick" | "full";

/** One kernel at one shape and dtype. */
export interface Workload {
  readonly kernel: string;
  readonly dtype: string;
  readonly shape: string;
  /** The row counts to time. */
  readonly rows: readonly number[];
  /** Row count of the comparison with the reference. */
  readonly checkRows: number;
  /** How far from the reference it may be, as a share of the reference's norm. */
  readonly tolerance: number;
  /** Allocates and fills what the kernel needs; the same numbers on every backend. */
  prepare(backend: Backend, size: Size): Promise<Prepared> | Prepared;
}

/** A workload on a backend. */
export interface Prepared {
  /** What to run for a row count. */
  at(rows: number): Run;
  /** f32 tensors to compare with the reference. */
  readonly outputs: readonly Tensor[];
}

/** A program that runs a kernel some times, and the work of one of these. */
export interface Run {
  readonly program: Program;
  readonly counts: Counts;
  readonly operations: number;
  /** Bytes of weights, cache or logits that one operation reads. */
  readonly bytes: number;
  /** Multiplications and additions of one operation. */
  readonly flop: number;
}

/** Bytes of weights that the operations of a program rotate over, so that no cache holds them. */
export const rotation: Readonly<Record<Size, number>> = { check: 0, quick: 96e6, full: 256e6 };

/** Most rows of a timed step. */
export const mostRows = 128;

/** How many copies of `bytes` a rotation takes. */
export function copiesOf(bytes: number, size: Size): number {
  return Math.max(1, Math.ceil(rotation[size] / bytes));
}

/** The token or sample count of a run. */
export function counts(rows: number, of: Rows = "tokens"): Counts {
  return of === "tokens" ? { tokens: rows, samples: 0 } : { tokens: 0, samples: rows };
}

/** A program of `operations` calls of `operation`. */
export function recordMany(
  backend: Backend,
  operations: number,
  operation: (recorder: Recorder, index: number) => void,
): Program {
  return backend.record(`${operations} operations`, (recorder) => {
    for (let i = 0; i < operations; i++) operation(recorder, i);
  });
}

/** Numbers between -1 and 1, the same for the same seed. */
export function noise(length: number, seed: number): Float32Array {
  const random = uniform(seed);
  return Float32Array.from({ length }, () => 2 * random() - 1);
}

/** A zeroed activation `[rows, width]`. */
export function output(backend: Backend, rows: number, width: number, of: Rows = "tokens"): Tensor {
  return backend.tensor({ label: "output", dtype: "f32", shape: [rows, width], rows: of });
}

/** An activation filled with noise. */
export function input(backend: Backend, rows: number, width: number, of: Rows = "tokens"): Tensor {
  const tensor = output(backend, rows, width, of);
  backend.write(tensor, noise(rows * width, 3));
  return tensor;
}

/** An i32 tensor with values; `of` makes it an activation. */
export function integers(
  backend: Backend,
  shape: readonly number[],
  values: ArrayLike<number>,
  of?: Rows,
): Tensor {
  const rows = of === undefined ? {} : { rows: of };
  const tensor = backend.tensor({ label: "integers", dtype: "i32", shape, ...rows });
  backend.write(tensor, Int32Array.from(values));
  return tensor;
}
