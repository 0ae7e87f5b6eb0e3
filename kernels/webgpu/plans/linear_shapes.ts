/** How the matrix kernels share out a product among threads. */
import type { DType, WeightDType } from "../../backend.ts";
import { isQuantised } from "../../dtype.ts";
import type { PlanContext } from "../dispatch.ts";
import { type Product, weightRows } from "./linear_product.ts";
import { type MatrixTuning, matrixTuning, type Tile } from "./tuning.ts";
import { packedUnitsOf, unitsOf } from "./weights.ts";

const MAX_GROUPS = 65535;
const MAX_THREADS = 256;
const LEAST_LANES = 32;
/** Threads of a subgroup, at least: so many add up without workgroup memory. */
const LEAST_SUBGROUP = 4;
/** Bytes of workgroup memory that 16 elements of x take in `gemv_packed.wgsl`, at most. */
const PACKED_UNIT_BYTES = 2 * 16 + 3 * 4;

/** What a workgroup of `gemv.wgsl` or `gemv_packed.wgsl` takes. */
export interface StreamShape {
  /** Threads that share a row. */
  readonly lanes: number;
  /** Sets of them. */
  readonly sets: number;
  /** Rows of the weight a set. */
  readonly rows: number;
  /** Units of each row that a thread reads at once, past floats. */
  readonly depth: number;
  /** Units of each row that are multiplied by integers before more of x is turned into them; 0 = past floats. */
  readonly chunk: number;
}

/** The lanes do not depend on the tile, so that neither does the order in which a row's products are summed. */
export function streamShape(context: PlanContext, product: Product, tile: number): StreamShape {
  const { weight, swiglu = false, experts } = product;
  const tuning = matrixTuning(context);
  const units = unitsOf(weight.dtype as WeightDType, weight.shape.at(-1)!);
  const slots = experts?.combines || 1;
  const few = weightRows(product) / tuning.groups;
  const useful = 2 ** Math.ceil(Math.log2(slots * units));
  const packedLanes = mostPackedLanes(context, product);
  const isPacked = isPackable(context, product);
  const threads = isPacked ? tuning.packedThreads : tuning.threads;
  const abreast = few < 1 || slots > 1 ? 4 * threads : threads;
  const lanes = Math.max(
    LEAST_LANES,
    Math.min(abreast, useful, isPacked ? packedLanes : MAX_THREADS),
  );
  const chunk = isPacked ? chunkOf(tuning, weight.dtype, lanes, slots * units, tile) : 0;
  const shared = context.device.limits.maxComputeWorkgroupStorageSize -
    chunk * xUnitBytes(weight.dtype, tile);
  const least = swiglu ? 2 : 1;
  let [sets, rows] = mostShared(tuning, weight.dtype, tile, isPacked);
  rows = Math.max(least, rows);
  sets = Math.min(sets, MAX_THREADS / lanes);
  const fits = () =>
    4 * lanes * sets * (rows + 1) * tile <= shared * (context.subgroups ? LEAST_SUBGROUP : 1);
  while (sets > 1 && (sets * rows > few || !fits())) sets /= 2;
  while (rows > least && (rows > few || !fits())) rows /= 2;
  while (weightRows(product) / (sets * rows) > MAX_GROUPS) rows *= 2;
  let { depth } = tuning;
  while (depth > 1 && (experts?.combines || units % (lanes * depth) > 0)) depth /= 2;
  return { lanes, sets, rows, depth, chunk };
}

/** Sets of threads, and rows each, of a workgroup where nothing stands against it. */
function mostShared(
  tuning: MatrixTuning,
  dtype: DType,
  tile: number,
  isPacked: boolean,
): [sets: number, rows: number] {
  if (isPacked) return [tuning.packedSets, tile > 1 ? tuning.packedRows : tuning.packedRowsAlone];
  if (tile > 1) return [tuning.sets, tuning.rows];
  const isNarrow = isQuantised(dtype) && dtype !== "q8_0";
  return [1, isNarrow ? tuning.narrowRowsAlone : tuning.rowsAlone];
}

/**
 * Threads whose integers of x fit in a workgroup's memory, and leave a quarter of it, even in the largest tile; fewer
 * than 32 = the product takes floats.
 */
function mostPackedLanes(context: PlanContext, { weight: { dtype }, experts }: Product): number {
  const { packed, streamedTile } = matrixTuning(context);
  // Tiles of an expert are often not full, and rows of x then turned into integers for too few products.
  if (packed === 0 || !packedUnitsOf(dtype) || experts?.tiles) return 0;
  const room = context.device.limits.maxComputeWorkgroupStorageSize * 3 / 4;
  const lanes = room / xUnitBytes(dtype, experts?.combines ? 1 : streamedTile);
  return Math.min(MAX_THREADS, 2 ** Math.floor(Math.log2(lanes)));
}

/** Whether a product of few rows is in integers. */
export function isPackable(context: PlanContext, product: Product): boolean {
  return mostPackedLanes(context, product) >= LEAST_LANES;
}

/** Whole rounds of all lanes within `packedBytes`: one at least, and no more than needed. */
function chunkOf(
  { packedBytes }: MatrixTuning,
  dtype: DType,
  lanes: number,
  units: number,
  tile: number,
): number {
  const rounds = Math.floor(packedBytes / xUnitBytes(dtype, tile) / lanes);
  return lanes * Math.max(1, Math.min(rounds, Math.ceil(units / lanes)));
}

function xUnitBytes(dtype: DType, tile: number): number {
  return PACKED_UNIT_BYTES * (packedUnitsOf(dtype) ?? 0) * tile;
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
