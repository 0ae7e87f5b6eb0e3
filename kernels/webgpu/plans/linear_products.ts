/** Products of activations with a weight, by the kernel that suits the number of live rows. */
import type { Counts, DType, WeightDType } from "../../backend.ts";
import { isQuantised } from "../../dtype.ts";
import type {
  Binding,
  Cost,
  Defines,
  Dispatch,
  GpuTensor,
  Norm,
  PlanContext,
} from "../dispatch.ts";
import { float, type LiveRows, type Range, read, within, write } from "./operands.ts";
import { type MatrixTuning, matrixTuning, type Tile } from "./tuning.ts";
import { paddedElements, rowBytes, unitsOf, weightDefines } from "./weights.ts";

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

const MAX_GROUPS = 65535;
const MAX_THREADS = 256;

/** Dispatches of which each run uses one. */
export function planProduct(context: PlanContext, product: Product): Dispatch[] {
  const { fewRows, fewResults, streamedTile, tiles, tileGroups } = matrixTuning(context);
  const { rows } = product;
  const few = Math.max(fewRows, Math.floor(fewResults / weightRows(product)));
  const sizes = [1, 4, 8].filter((size) => size <= streamedTile);
  return upTo(rows, [
    ...sizes.map((size, i) => ({
      most: i === sizes.length - 1 ? few : size,
      plan: () => planStreamed(context, product, size),
    })),
    ...tiles.map((tile, i) => ({
      most: mostBefore(tiles[i + 1], weightRows(product), tileGroups),
      plan: () => planTiled(context, product, tile),
    })),
  ]);
}

/** Most rows of x for which a tile is not used: they are too few for it, or give fewer than `groups` workgroups. */
function mostBefore(
  tile: MatrixTuning["tiles"][number] | undefined,
  weightRows: number,
  groups: number,
): number {
  if (!tile) return Infinity;
  const across = Math.ceil(weightRows / (tile.across * tile.rows));
  return Math.max(tile.from, (Math.ceil(groups / across) - 1) * tile.down * tile.tokens + 1) - 1;
}

function weightRows({ results, swiglu = false }: Product): number {
  return swiglu ? 2 * results : results;
}

/** Dispatches each for the live rows up to its `most` that the ones before it leave. */
function upTo(
  rows: LiveRows,
  ways: readonly { readonly most: number; readonly plan: () => Dispatch }[],
): Dispatch[] {
  let from = 1;
  return ways.flatMap(({ most, plan }) => {
    const last = Math.min(most, rows.capacity);
    if (from > last) return [];
    const dispatch = within(rows, from, last, plan());
    from = last + 1;
    return dispatch;
  });
}

/** A product in which every workgroup streams some rows of the weight past a tile of rows of x. */
export function planStreamed(context: PlanContext, product: Product, tile: number): Dispatch {
  const { x, out, weight, experts } = product;
  const { lanes, sets, rows, depth } = streamShape(context, product, tile);
  const defines = {
    SUBGROUPS: context.subgroups,
    THREADS: lanes * sets,
    SETS: sets,
    ROWS: rows,
    DEPTH: depth,
    TOKENS: tile,
  };
  return {
    ...plan(product, "gemv", defines, tile, sets * rows),
    normed: (norm) => {
      const isApart = x.buffer === norm.out && out.buffer !== norm.x;
      return isApart && !experts?.combines && isNormable(weight, norm)
        ? planStreamed(context, { ...product, x: { ...x, buffer: norm.x }, norm }, tile)
        : undefined;
    },
  };
}

/**
 * Whether a norm is of rows as wide as the weight's, in whole vectors. Kernels that decode blocks are bound by
 * instructions: in them a norm costs as much as by itself.
 */
function isNormable({ dtype, shape }: GpuTensor, { width }: Norm): boolean {
  return !isQuantised(dtype) && width === shape.at(-1) && width % 4 === 0;
}

/** A product in tiles of rows of x by rows of the weight. */
export function planTiled({ device }: PlanContext, product: Product, tile: Tile): Dispatch {
  const { across, down, rows, tokens, strip } = tile;
  const slices = slicesThatFit(tile, device.limits.maxComputeWorkgroupStorageSize);
  const defines = {
    ACROSS: across,
    DOWN: down,
    ROWS: rows,
    TOKENS: tokens,
    SLICES: slices,
    STRIP: strip,
  };
  return plan(product, "gemm", defines, down * tokens, across * rows);
}

/** As many of a tile's slices as `gemm.wgsl` has shared memory for. */
function slicesThatFit(
  { across, down, rows, tokens, slices, strip }: Tile,
  bytes: number,
): number {
  const lines = 16 * (down * (tokens * strip + 1) + across * (rows * strip + 1));
  const sums = 4 * across * down * (tokens * rows + 1);
  let most = slices;
  while (most > 1 && most * lines + sums > bytes) most /= 2;
  return most;
}

/** What a workgroup of `gemv.wgsl` takes. */
interface StreamShape {
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
function streamShape(context: PlanContext, product: Product, tile: number): StreamShape {
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

function plan(
  product: Product,
  kernel: string,
  defines: Defines,
  tile: number,
  tileRows: number,
): Dispatch {
  const { label, rows, experts } = product;
  const groups = Math.ceil(weightRows(product) / tileRows);
  const tiles = experts?.tiles ?? ((counts: Counts) => Math.ceil(rows.count(counts) / tile));
  return {
    label,
    kernel,
    defines: { ...productDefines(product), ...defines },
    bindings: productBindings(product),
    grid: (counts, into) => {
      into[0] = tiles(counts, tile);
      into[1] = groups;
      into[2] = 1;
    },
    cost: (counts) => productCost(product, counts),
  };
}

function productDefines(product: Product): Defines {
  const { weight, rows, width, column = 0, results, swiglu = false, add = false } = product;
  const { bias, experts, norm } = product;
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
    ...experts?.defines,
    ...(norm && { NORM: productBindings(product).length, EPS: float(norm.eps) }),
  };
}

function productBindings({ weights, x, out, bias, experts, norm }: Product): Binding[] {
  return [
    read({ buffer: weights }),
    read(x),
    write(out),
    ...(bias ? [read(bias)] : []),
    ...(experts?.bindings ?? []),
    ...(norm ? [read({ buffer: norm.weight })] : []),
  ];
}

function productCost(product: Product, counts: Counts): Cost {
  const { weight, rows, results, add = false, experts } = product;
  const k = weight.shape.at(-1)!;
  const weightBytes = weightRows(product) * rowBytes(weight.dtype as WeightDType, k);
  const live = rows.count(counts);
  return {
    bytes: (experts?.weightBytes(counts) ?? weightBytes) + 4 * live * (k + results * (add ? 2 : 1)),
    flops: 2 * live * weightRows(product) * k,
  };
}
