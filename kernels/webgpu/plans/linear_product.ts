import type { Counts } from "../../backend.ts";
import type { Binding, Defines, GpuTensor, Norm } from "../dispatch.ts";
import type { LiveRows, Range } from "./operands.ts";

/** `out[r, column + i] = x[r] · weight[i]`, or `silu(x[r] · gate[i]) * (x[r] · up[i])`. */
export interface Product {
  /** The operation, in messages and profiles. */
  readonly label: string;
  /** Rows of `out`. */
  readonly rows: LiveRows;
  /** f32, as wide as the weight's rows. */
  readonly x: Range;
  /** What the weight is. */
  readonly weight: GpuTensor;
  /** Its rows to multiply by. */
  readonly weights: GPUBuffer;
  /** f32 rows of `width`. */
  readonly out: Range;
  /** Elements of a row of `out`. */
  readonly width: number;
  /** First of them to write; absent = 0. */
  readonly column?: number;
  /** How many to write. */
  readonly results: number;
  /** Whether the weight has as many gate rows, then up rows, as there are results. */
  readonly swiglu?: boolean;
  /** Adds to `out`. */
  readonly add?: boolean;
  /** Added to each row: f32, from element `first` on. */
  readonly bias?: { readonly buffer: GPUBuffer; readonly first: number };
  /** Where rows have weights of their own. */
  readonly experts?: ProductExperts;
  /** Norms rows of `x` first. */
  readonly norm?: Pick<Norm, "weight" | "eps">;
}

/** What `products.wgsl` needs beside the rest where rows have weights of their own. */
export interface ProductExperts {
  /** Which rows have which. */
  readonly defines: Defines;
  /** Rows of `x` whose products each result sums up; absent or 0 = one row each. */
  readonly combines?: number;
  /** Bindings from 4 on. */
  readonly bindings: readonly Binding[];
  /** Tiles of at most `tile` rows; absent = as if all rows had the same weight. */
  readonly tiles?: (counts: Counts, tile: number) => number;
  /** Bytes of weights that are read. */
  readonly weightBytes: (counts: Counts) => number;
}

/** Rows of the weight that a product reads. */
export function weightRows({ results, swiglu = false }: Product): number {
  return swiglu ? 2 * results : results;
}
