/** Attention over the paged cache: single tokens, in parts where contexts are long, and prompts in tiles. */
import type { AttentionShape, Counts, KvCacheSpec, KvDType, Placement } from "../../backend.ts";
import type { Binding, Cost, Defines, Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { type GpuKvCache, kvElementBytes, storedDefines } from "../kv_cache.ts";
import {
  type AttentionLayout,
  attentionLayout,
  type DecodeLayout,
  decodeLayout,
  MOST_SPLITS,
  pagesHere,
  roundKeys,
  splitsOf,
  teamUnroll,
  TILE_ROWS,
} from "./attention_layout.ts";
import { canRotate, rotatedBindings, rotatedDefines } from "./attention_rotation.ts";
import { read, single, write } from "./operands.ts";

/**
 * Plans causal attention. `attention_decode` takes rows one by one, in parts of their context where that is long,
 * which `attention_merge` joins. In steps of many tokens `attention_prefill` takes the tiles of 32 rows that are
 * of one sequence, and the others pass over these, or are not dispatched where all rows are in such tiles.
 */
export function planAttention(
  context: PlanContext,
  out: GpuTensor,
  qkv: GpuTensor,
  cache: GpuKvCache,
  layer: number,
  shape: AttentionShape,
  placement: Placement,
): Dispatch[] {
  const layout = attentionLayout(context, shape, cache.spec, placement);
  const defines = definesOf(layout, cache.spec, shape);
  const inputs = inputsOf(context, qkv, cache, layer, placement);
  const output = { buffer: single(out) };
  const whole = variantsOf(layout, qkv).map((variant) => ({ variant, isSplit: false }));
  const dispatches = whole.map((how) =>
    decode(context, layout, how, defines, [...inputs, write(output)], shape, cache.spec)
  );
  if (layout.mostSeen > layout.splitFrom) {
    const parts = { buffer: context.scratch("attention parts", partBytes(layout)) };
    const split = whole.map((how) => ({ ...how, isSplit: true }));
    dispatches.push(
      ...split.map((how) =>
        decode(context, layout, how, defines, [...inputs, write(parts)], shape, cache.spec)
      ),
      merge(layout, shape, read(parts), write(output)),
    );
  }
  if (qkv.shape[0]! < layout.tiledFrom) return dispatches;
  return [...dispatches, prefill(layout, defines, [...inputs, write(output)], shape, cache.spec)];
}

/** The ways of taking tokens that steps of this capacity use. */
function variantsOf(layout: AttentionLayout, { shape }: GpuTensor): DecodeLayout[] {
  const counts = [1, shape[0]!].map((tokens) => ({ tokens, samples: 0 }));
  return [...new Set(counts.map((count) => decodeLayout(layout, count)))];
}

function decode(
  context: PlanContext,
  layout: AttentionLayout,
  { variant, isSplit }: { readonly variant: DecodeLayout; readonly isSplit: boolean },
  shared: Defines,
  bindings: readonly Binding[],
  shape: AttentionShape,
  { dtype, pageSize }: KvCacheSpec,
): Dispatch {
  const isLive = (counts: Counts) =>
    decodeLayout(layout, counts) === variant && splitsOf(layout, counts) > 1 === isSplit &&
    !isAllTiled(layout, counts);
  const defines = { ...shared, ...decodeDefines(layout, variant, shape, pageSize), SPLIT: isSplit };
  const dispatch: Dispatch = {
    label: isSplit ? "attention of parts of contexts" : "attention of single tokens",
    kernel: "attention_decode",
    defines,
    bindings,
    grid: (counts, into) => {
      into[0] = isLive(counts) ? variant.blocks : 0;
      into[1] = counts.tokens;
      into[2] = splitsOf(layout, counts);
    },
    cost: (counts) =>
      isLive(counts) && !isTiled(layout, counts) ? leastCost(shape, dtype, counts) : free,
  };
  return {
    ...dispatch,
    rotated: (rotation) =>
      canRotate(context, rotation, dispatch)
        ? {
          ...dispatch,
          label: `${dispatch.label}, with rotation`,
          defines: { ...defines, ...rotatedDefines(rotation) },
          bindings: rotatedBindings(rotation, dispatch.bindings),
        }
        : undefined,
  };
}

function merge(
  layout: AttentionLayout,
  { heads, headDim }: AttentionShape,
  parts: Binding,
  out: Binding,
): Dispatch {
  const threads = Math.min(layout.alone.threads, 128);
  return {
    label: "attention, merge of parts",
    kernel: "attention_merge",
    defines: {
      HEADS: heads,
      HEAD_DIM: headDim,
      PART: layout.part,
      MAX_SPLITS: MOST_SPLITS,
      THREADS: threads,
    },
    bindings: [parts, out],
    grid: (counts, into) => {
      into[0] = splitsOf(layout, counts) > 1 ? heads : 0;
      into[1] = counts.tokens;
      into[2] = 1;
    },
    cost: (counts) => {
      const sums = heads * headDim * splitsOf(layout, counts) * counts.tokens;
      return { bytes: 4 * sums, flops: 2 * sums };
    },
  };
}

function prefill(
  layout: AttentionLayout,
  defines: Defines,
  bindings: readonly Binding[],
  shape: AttentionShape,
  { dtype }: KvCacheSpec,
): Dispatch {
  return {
    label: "attention of prompts",
    kernel: "attention_prefill",
    defines,
    bindings,
    grid: (counts, into) => {
      into[0] = isTiled(layout, counts) ? shape.heads : 0;
      into[1] = Math.ceil(counts.tokens / TILE_ROWS);
      into[2] = 1;
    },
    cost: (counts) => isTiled(layout, counts) ? leastCost(shape, dtype, counts) : free,
    rotated: "idle",
  };
}

/** Whether a step may have tiles of one sequence. */
function isTiled({ tiledFrom }: AttentionLayout, { tokens, distinct }: Counts): boolean {
  return tokens >= tiledFrom && distinct !== true;
}

/** Whether a step has no row that is not in a tile. */
function isAllTiled(layout: AttentionLayout, counts: Counts): boolean {
  return counts.oneSequence === true && isTiled(layout, counts);
}

const free: Cost = { bytes: 0, flops: 0 };

/** A plan does not know contexts: every token sees one position at least, and the furthest one all of its own. */
function leastCost(shape: AttentionShape, dtype: KvDType, counts: Counts): Cost {
  const { tokens, context = 1 } = counts;
  const positions = counts.distinct ? tokens - 1 + context : Math.max(tokens, context);
  return attentionCost(shape, dtype, { tokens, seen: positions, held: positions });
}

/** How much of their contexts the tokens of a step see. */
export interface Seen {
  /** Tokens of the step. */
  readonly tokens: number;
  /** Pairs of a token and a position that it sees. */
  readonly seen: number;
  /** Positions of all sequences that some token sees. */
  readonly held: number;
}

/** What attention moves and computes at least. */
export function attentionCost(
  { heads, kvHeads, headDim }: AttentionShape,
  dtype: KvDType,
  { tokens, seen, held }: Seen,
): Cost {
  const cached = 2 * held * kvHeads * headDim * kvElementBytes[dtype];
  return { bytes: cached + 8 * tokens * heads * headDim, flops: 4 * seen * heads * headDim };
}

/** Parts are only written where there are several a token, so that all are no more than `splitGroups`. */
function partBytes({ splitGroups, part }: AttentionLayout): number {
  return 4 * splitGroups * 4 * part;
}

function definesOf(
  layout: AttentionLayout,
  spec: KvCacheSpec,
  { heads, kvHeads, headDim, window }: AttentionShape,
): Defines {
  return {
    HEADS: heads,
    KV_HEADS: kvHeads,
    HEAD_DIM: headDim,
    GROUP: heads / kvHeads,
    QKV_WIDTH: (heads + 2 * kvHeads) * headDim,
    SCALE: `f32(${1 / Math.sqrt(headDim)})`,
    WINDOW: window ?? 0,
    ...storedDefines(spec),
    CACHE_ACCESS: "read",
    PAGE_SIZE: spec.pageSize,
    SEQUENCE_PAGES: layout.sequencePages,
    LANES: layout.alone.lanes,
    PART: layout.part,
    TILED_FROM: layout.tiledFrom,
    TILE_ROWS,
    UNROLL: layout.unroll,
    VECTORS: layout.tileVectors,
    CHUNKS: Math.ceil(headDim / 4 / layout.tileVectors),
  };
}

function decodeDefines(
  { unroll }: AttentionLayout,
  variant: DecodeLayout,
  { kvHeads }: AttentionShape,
  pageSize: number,
): Defines {
  const { heads, blocks, teams, fours, threads, shuffles, columns, exchange } = variant;
  const keys = roundKeys(variant);
  const held = pagesHere(variant, pageSize);
  return {
    HEADS_HERE: heads,
    BLOCKS: blocks / kvHeads,
    TEAMS: teams,
    TEAM_UNROLL: teamUnroll(variant, unroll),
    FOURS: fours,
    THREADS: threads,
    SUBGROUPS: shuffles,
    COLUMNS: columns,
    EXCHANGE: exchange,
    ROUND_KEYS: keys,
    PAGES_HERE: held,
    SEGMENT_KEYS: Math.floor((held - 1) * pageSize / keys) * keys,
  };
}

function inputsOf(
  context: PlanContext,
  qkv: GpuTensor,
  cache: GpuKvCache,
  layer: number,
  { positions, sequences, pages }: Placement,
): Binding[] {
  const { keys, values } = cache.layers[layer]!;
  const tables = [positions, sequences, pages].map((tensor) => single(context.resolve(tensor)));
  return [single(qkv), keys, values, ...tables].map((buffer) => read({ buffer }));
}
