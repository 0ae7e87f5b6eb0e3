/** Products of activations with a weight, by the kernel that suits the number of live rows. */
import type { WeightDType } from "../../backend.ts";
import type { Binding, Cost, Defines, Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { type LiveRows, read, within, write } from "./operands.ts";
import { type MatrixTuning, matrixTuning, type Tile } from "./tuning.ts";
import { paddedElements, rowBytes, unitsOf, weightDefines } from "./weights.ts";

/** `out[r, column + i] = x[r] · weight[i]`, or `silu(x[r] · gate[i]) * (x[r] · up[i])`. */
export interface Product {
  /** The operation, in messages and profiles. */
  readonly label: string;
  /** Rows of `x` and `out`. */
  readonly rows: LiveRows;
  /** f32, as wide as the weight's rows. */
  readonly x: GPUBuffer;
  /** What the weight is. */
  readonly weight: GpuTensor;
  /** Its rows to multiply by. */
  readonly weights: GPUBuffer;
  /** f32 rows of `width`. */
  readonly out: GPUBuffer;
  /** Elements of a row of `out`. */
  readonly width: number;
  /** First of them to write. */
  readonly column: number;
  /** How many to write. */
  readonly results: number;
  /** Whether the weight has as many gate rows, then up rows, as there are results. */
  readonly swiglu?: boolean;
  /** Adds to `out`. */
  readonly add?: boolean;
  /** Added to each row: f32, from element `first` on. */
  readonly bias?: { readonly buffer: GPUBuffer; readonly first: number };
}

/** Rows of x that a workgroup of the kernel for few rows takes at once. */
const TOKENS = [1, 4, 8] as const;
/** The largest sum of rows by tokens that such a workgroup keeps. */
const MAX_GROUPS_X = 65535;

/** Dispatches of which each run uses one. */
export function planProduct(context: PlanContext, product: Product): Dispatch[] {
  const tuning = matrixTuning(context);
  const { capacity } = product.rows;
  const few = Math.min(capacity, tuning.fewRows);
  const dispatches = TOKENS.flatMap((tokens, i) => {
    const from = i === 0 ? 1 : TOKENS[i - 1]! + 1;
    const to = i === TOKENS.length - 1 ? few : Math.min(few, tokens);
    return from > to ? [] : [within(product.rows, from, to, gemv(context, product, tokens))];
  });
  if (capacity <= few) return dispatches;
  return [
    ...dispatches,
    within(product.rows, few + 1, capacity, gemm(product, tuning.tile)),
  ];
}

function gemv(context: PlanContext, product: Product, tokens: number): Dispatch {
  const { rows, results, swiglu = false } = product;
  const shape = gemvShape(context, product, tokens);
  const each = swiglu ? shape.rows / 2 : shape.rows;
  return {
    label: product.label,
    kernel: "gemv",
    defines: {
      ...productDefines(product),
      SUBGROUPS: context.subgroups,
      THREADS: shape.threads,
      ROWS: shape.rows,
      TOKENS: tokens,
    },
    bindings: productBindings(product),
    grid: (counts, into) => {
      into[0] = Math.ceil(rows.count(counts) / tokens);
      into[1] = Math.ceil(results / each);
      into[2] = 1;
    },
    cost: (counts) => productCost(product, rows.count(counts)),
  };
}

/** Threads of a workgroup, and rows of the weight that it takes. */
export function gemvShape(
  context: PlanContext,
  { weight, results, swiglu = false }: Pick<Product, "weight" | "results" | "swiglu">,
  tokens: number,
): { readonly threads: number; readonly rows: number } {
  const tuning = matrixTuning(context);
  const units = unitsOf(weight.dtype as WeightDType, weight.shape.at(-1)!);
  const threads = Math.min(tuning.threads, Math.max(32, 2 ** Math.ceil(Math.log2(units))));
  let rows = swiglu ? Math.max(2, tuning.rows) : tuning.rows;
  while (
    !context.subgroups && rows > 2 &&
    4 * threads * rows * tokens > context.device.limits.maxComputeWorkgroupStorageSize
  ) {
    rows /= 2;
  }
  while (results * (swiglu ? 2 : 1) / rows > MAX_GROUPS_X) rows *= 2;
  return { threads, rows };
}

function gemm(product: Product, tile: Tile): Dispatch {
  const { rows, results, swiglu = false } = product;
  const each = tile.across * tile.rows / (swiglu ? 2 : 1);
  return {
    label: product.label,
    kernel: "gemm",
    defines: { ...productDefines(product), ...tileDefines(tile) },
    bindings: productBindings(product),
    grid: (counts, into) => {
      into[0] = Math.ceil(rows.count(counts) / (tile.down * tile.tokens));
      into[1] = Math.ceil(results / each);
      into[2] = 1;
    },
    cost: (counts) => productCost(product, rows.count(counts)),
  };
}

/** What `gemm.wgsl` needs to know of a tile. */
export function tileDefines({ across, down, rows, tokens }: Tile): Defines {
  return { ACROSS: across, DOWN: down, ROWS: rows, TOKENS: tokens };
}

/** What `products.wgsl` needs to know of a product. */
export function productDefines(product: Product): Defines {
  const { weight, rows, width, column, results, swiglu = false, add = false, bias } = product;
  return {
    ...weightDefines(weight),
    PADDED: paddedElements(weight.dtype as WeightDType, weight.shape.at(-1)!),
    LIVE: rows.wgsl,
    N: results,
    WIDTH: width,
    COLUMN: column,
    SWIGLU: swiglu,
    ADD: add,
    ...(bias && { BIAS: true, BIAS_FIRST: bias.first }),
  };
}

function productBindings({ weights, x, out, bias }: Product): Binding[] {
  return [read(weights), read(x), write(out), ...(bias ? [read(bias.buffer)] : [])];
}

function productCost({ weight, results, swiglu, add }: Product, rows: number): Cost {
  const k = weight.shape.at(-1)!;
  const weightRows = results * (swiglu ? 2 : 1);
  return {
    bytes: weightRows * rowBytes(weight.dtype as WeightDType, k) +
      4 * rows * (k + results * (add ? 2 : 1)),
    flops: 2 * rows * weightRows * k,
  };
}
