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

/** What a workgroup takes of a product, for tiles of at most `tile` rows of x. */
export function streamShape(context: PlanContext, product: Product, tile: number): StreamShape {
  const lanes = lanesOf(context, product);
  const chunk = isPackable(context, product) ? chunkOf(context, product, lanes, tile) : 0;
  const [sets, rows] = sharesOf(context, product, tile, lanes, chunk);
  return { lanes, sets, rows, depth: depthOf(context, product, lanes), chunk };
}

/** They do not depend on the tile, so that neither does the order in which a row's products are summed. */
function lanesOf(context: PlanContext, product: Product): number {
  const { threads, packedThreads, groups } = matrixTuning(context);
  const isPacked = isPackable(context, product);
  const own = isPacked ? packedThreads : threads;
  const isNarrow = weightRows(product) < groups || slotsOf(product) > 1;
  const useful = 2 ** Math.ceil(Math.log2(rowUnits(product)));
  const most = isPacked ? mostPackedLanes(context, product) : MAX_THREADS;
  return Math.max(LEAST_LANES, Math.min(isNarrow ? 4 * own : own, useful, most));
}

/** Sets, and rows of each: fewer where the product has too few rows for all workgroups, or memory is short. */
function sharesOf(
  context: PlanContext,
  product: Product,
  tile: number,
  lanes: number,
  chunk: number,
): [sets: number, rows: number] {
  const { weight: { dtype }, swiglu = false } = product;
  const tuning = matrixTuning(context);
  const few = weightRows(product) / tuning.groups;
  const least = swiglu ? 2 : 1;
  const room = context.device.limits.maxComputeWorkgroupStorageSize -
    chunk * xUnitBytes(dtype, tile);
  const abreast = context.subgroups ? LEAST_SUBGROUP : 1;
  let [sets, rows] = mostShared(tuning, dtype, tile, chunk > 0);
  rows = Math.max(least, rows);
  sets = Math.min(sets, MAX_THREADS / lanes);
  const fits = () => 4 * lanes * sets * (rows + 1) * tile <= room * abreast;
  while (sets > 1 && (sets * rows > few || !fits())) sets /= 2;
  while (rows > least && (rows > few || !fits())) rows /= 2;
  while (weightRows(product) / (sets * rows) > MAX_GROUPS) rows *= 2;
  return [sets, rows];
}

/** Where rows divide so; slots are taken one by one. */
function depthOf(context: PlanContext, product: Product, lanes: number): number {
  if (product.experts?.combines) return 1;
  let { depth } = matrixTuning(context);
  while (depth > 1 && rowUnits(product) % (lanes * depth) > 0) depth /= 2;
  return depth;
}

/** Rows of x that each result sums up. */
function slotsOf({ experts }: Product): number {
  return experts?.combines || 1;
}

/** Units of the weight that each result sums up. */
function rowUnits(product: Product): number {
  const { dtype, shape } = product.weight;
  return slotsOf(product) * unitsOf(dtype as WeightDType, shape.at(-1)!);
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
function chunkOf(context: PlanContext, product: Product, lanes: number, tile: number): number {
  const { packedBytes } = matrixTuning(context);
  const rounds = Math.floor(packedBytes / xUnitBytes(product.weight.dtype, tile) / lanes);
  return lanes * Math.max(1, Math.min(rounds, Math.ceil(rowUnits(product) / lanes)));
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
