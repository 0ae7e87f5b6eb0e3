/** Products of activations with a weight, by the kernel that suits the number of live rows. */
import type { Counts, WeightDType } from "../../backend.ts";
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
import { float, type LiveRows, read, within, write } from "./operands.ts";
import { type Product, weightRows } from "./linear_product.ts";
import { isPackable, slicesThatFit, streamShape } from "./linear_shapes.ts";
import { type MatrixTuning, matrixTuning, type Tile } from "./tuning.ts";
import { paddedElements, rowBytes, weightDefines } from "./weights.ts";

/** Dispatches of which each run uses one. */
export function planProduct(context: PlanContext, product: Product): Dispatch[] {
  const { fewRows, packedFewRows, fewResults, streamedTile, tiles, tileGroups } = matrixTuning(
    context,
  );
  const { rows } = product;
  const few = Math.max(
    isPackable(context, product) ? packedFewRows : fewRows,
    Math.floor(fewResults / weightRows(product)),
  );
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
  const { lanes, sets, rows, depth, chunk } = streamShape(context, product, tile);
  const isPacked = chunk > 0;
  const defines = {
    SUBGROUPS: context.subgroups,
    THREADS: lanes * sets,
    SETS: sets,
    ROWS: rows,
    TOKENS: tile,
    ...(isPacked ? { CHUNK: chunk } : { DEPTH: depth }),
  };
  return {
    ...plan(product, isPacked ? "gemv_packed" : "gemv", defines, tile, sets * rows),
    normed: (norm) => {
      const isApart = x.buffer === norm.out && out.buffer !== norm.x;
      return isApart && !experts?.combines && isNormable(weight, norm, isPacked)
        ? planStreamed(context, { ...product, x: { ...x, buffer: norm.x }, norm }, tile)
        : undefined;
    },
  };
}

/**
 * Whether a norm is of rows as wide as the weight's, in whole vectors. Kernels that decode blocks to floats are bound
 * by instructions: in them a norm costs as much as by itself.
 */
function isNormable({ dtype, shape }: GpuTensor, { width }: Norm, isPacked: boolean): boolean {
  return (isPacked || !isQuantised(dtype)) && width === shape.at(-1) && width % 4 === 0;
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
