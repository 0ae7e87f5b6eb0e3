/** How the matrix kernels share out a product among threads. */
import type { DType, WeightDType } from "../../backend.ts";
import { isQuantised } from "../../dtype.ts";
import type { PlanContext } from "../dispatch.ts";
import { type Product, weightRows } from "./linear_product.ts";
import { type MatrixTuning, matrixTuning, type Tile } from "./tuning.ts";
import { unitsOf } from "./weights.ts";

const MAX_GROUPS = 65535;
const MAX_THREADS = 256;

/** What a workgroup of `gemv.wgsl` takes. */
export interface StreamShape {
  /** Threads that share a row. */
  readonly lanes: number;
  /** Sets of them. */
  readonly sets: number;
  /** Rows of the weight a set. */
  readonly rows: number;
  /** Units of each row that a thread reads at once. */
  readonly depth: number;
}

/** The lanes do not depend on the tile, so that neither does the order in which a row's products are summed. */
export function streamShape(context: PlanContext, product: Product, tile: number): StreamShape {
  const { weight, swiglu = false, experts } = product;
  const tuning = matrixTuning(context);
  const units = unitsOf(weight.dtype as WeightDType, weight.shape.at(-1)!);
  const slots = experts?.combines || 1;
  const few = weightRows(product) / tuning.groups;
  const useful = 2 ** Math.ceil(Math.log2(slots * units));
  const abreast = few < 1 || slots > 1 ? Math.min(MAX_THREADS, 4 * tuning.threads) : tuning.threads;
  const lanes = Math.max(32, Math.min(abreast, useful));
  const shared = context.device.limits.maxComputeWorkgroupStorageSize;
  const least = swiglu ? 2 : 1;
  let rows = Math.max(least, tile > 1 ? tuning.rows : rowsAlone(weight.dtype, tuning));
  let sets = tile > 1 ? Math.min(tuning.sets, MAX_THREADS / lanes) : 1;
  const fits = () => context.subgroups || 4 * lanes * sets * (rows + 1) * tile <= shared;
  while (sets > 1 && (sets * rows > few || !fits())) sets /= 2;
  while (rows > least && (rows > few || !fits())) rows /= 2;
  while (weightRows(product) / (sets * rows) > MAX_GROUPS) rows *= 2;
  let { depth } = tuning;
  while (depth > 1 && (experts?.combines || units % (lanes * depth) > 0)) depth /= 2;
  return { lanes, sets, rows, depth };
}

function rowsAlone(dtype: DType, { rowsAlone, narrowRowsAlone }: MatrixTuning): number {
  return isQuantised(dtype) && dtype !== "q8_0" ? narrowRowsAlone : rowsAlone;
}

/** As many of a tile's slices as `gemm.wgsl` has shared memory for. */
export function slicesThatFit(
  { across, down, rows, tokens, slices, strip }: Tile,
  bytes: number,
): number {
  const lines = 16 * (down * (tokens * strip + 1) + across * (rows * strip + 1));
  const sums = 4 * across * down * (tokens * rows + 1);
  let most = slices;
  while (most > 1 && most * lines + sums > bytes) most /= 2;
  return most;
}
