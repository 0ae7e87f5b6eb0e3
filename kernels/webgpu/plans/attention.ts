/** Attention over the paged cache: single tokens split over their context, prompts in tiles of rows. */
import type { AttentionShape, Counts, KvCacheSpec, Placement } from "../../backend.ts";
import { KernelError } from "../../errors.ts";
import type { Binding, Cost, Defines, Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { type GpuKvCache, kvStride } from "../kv_cache.ts";

/** Rows of a tile: `attention_prefill.wgsl` is written for it. */
const TILE_ROWS = 32;
/** Rounds of keys below which another part of a context does not pay. */
const MIN_ROUNDS = 2;
/** The largest head whose result `attention_prefill.wgsl` holds in registers. */
const MAX_HEAD_DIM = 256;

/** What the three kernels and their grids agree on. */
interface Layout {
  /** Blocks of at most four query heads of one KV head: a workgroup each. */
  readonly blocks: number;
  /** Threads that hold one key, eight elements each. */
  readonly lanes: number;
  /** Keys abreast: as many as the threads of a workgroup hold. */
  readonly teams: number;
  /** Tokens from which on a step may have tiles of one sequence. */
  readonly tiledFrom: number;
  /** Workgroups that fill the adapter. */
  readonly splitGroups: number;
  /** Most parts of a context. */
  readonly maxSplits: number;
}

/**
 * Plans causal attention. `attention_decode` takes rows one by one, each in as many parts of its context as
 * fill the adapter; `attention_merge` joins the parts. In steps of many tokens `attention_prefill` takes the
 * tiles of 32 rows that are of one sequence, and the others pass over these.
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
  const layout = layoutOf(context, shape);
  const defines = definesOf(layout, cache.spec, shape, context.resolve(placement.pages));
  const inputs = inputsOf(context, qkv, cache, layer, placement);
  const output: Binding = { buffer: out.shards[0]!.buffer, access: "write" };
  const parts = context.scratch("attention parts", partBytes(layout, shape));
  const isTiled = ({ tokens }: Counts) => tokens >= layout.tiledFrom;
  const cost = ({ tokens }: Counts) =>
    attentionCost(shape, cache.spec.dtype, { tokens, seen: tokens, held: tokens });
  const dispatches: Dispatch[] = [
    {
      label: "attention of single tokens",
      kernel: "attention_decode",
      defines: { ...defines, SUBGROUPS: canShuffle(context, layout) },
      bindings: [...inputs, output, { buffer: parts, access: "write" }],
      grid: ({ tokens }, into) => {
        into[0] = layout.blocks;
        into[1] = tokens;
        into[2] = splitsOf(layout, tokens);
      },
      cost: (counts) => isTiled(counts) ? { bytes: 0, flops: 0 } : cost(counts),
    },
    {
      label: "attention, parts of a context",
      kernel: "attention_merge",
      defines,
      bindings: [...inputs, { buffer: parts, access: "read" }, output],
      grid: ({ tokens }, into) => {
        into[0] = splitsOf(layout, tokens) > 1 ? shape.heads : 0;
        into[1] = tokens;
        into[2] = 1;
      },
      cost: ({ tokens }) => mergeCost(shape, tokens * splitsOf(layout, tokens), tokens),
    },
  ];
  if (qkv.shape[0]! < layout.tiledFrom) return dispatches;
  return [...dispatches, {
    label: "attention of prompts",
    kernel: "attention_prefill",
    defines,
    bindings: [...inputs, output],
    grid: (counts, into) => {
      into[0] = isTiled(counts) ? shape.heads : 0;
      into[1] = Math.ceil(counts.tokens / TILE_ROWS);
      into[2] = 1;
    },
    cost: (counts) => isTiled(counts) ? cost(counts) : { bytes: 0, flops: 0 },
  }];
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

/** What attention moves and computes at least; a plan does not know contexts and takes one position a token. */
export function attentionCost(
  { heads, kvHeads, headDim }: AttentionShape,
  dtype: KvCacheSpec["dtype"],
  { tokens, seen, held }: Seen,
): Cost {
  const cached = 2 * held * kvHeads * headDim * (dtype === "f16" ? 2 : 4);
  return { bytes: cached + 8 * tokens * heads * headDim, flops: 4 * seen * heads * headDim };
}

function mergeCost({ heads, headDim }: AttentionShape, parts: number, tokens: number): Cost {
  return {
    bytes: 4 * heads * (parts * (headDim + 2) + tokens * headDim),
    flops: 2 * parts * heads * headDim,
  };
}

function layoutOf({ tuning }: PlanContext, { heads, kvHeads, headDim }: AttentionShape): Layout {
  if (headDim > MAX_HEAD_DIM) {
    throw new KernelError(
      "Unsupported",
      `Cannot record attention, heads have at most ${MAX_HEAD_DIM} elements: ${headDim}`,
    );
  }
  const lanes = kvStride({ headDim }) / 8;
  return {
    lanes,
    blocks: kvHeads * Math.ceil(heads / kvHeads / 4),
    teams: Math.floor((tuning["attentionThreads"] ?? 128) / lanes),
    tiledFrom: tuning["attentionTiledFrom"] ?? 64,
    splitGroups: tuning["attentionSplitGroups"] ?? 512,
    maxSplits: tuning["attentionMaxSplits"] ?? 32,
  };
}

/** Parts of every context in a step; `attention_splits.wgsl` counts the same. */
function splitsOf({ blocks, splitGroups, maxSplits }: Layout, tokens: number): number {
  return Math.max(1, Math.min(maxSplits, Math.floor(splitGroups / (tokens * blocks))));
}

/** Parts are written only where there are several a token, so that they never are more than `splitGroups`. */
function partBytes({ splitGroups }: Layout, { headDim }: AttentionShape): number {
  return 4 * splitGroups * 4 * (headDim + 2);
}

function definesOf(
  layout: Layout,
  { pageSize, dtype }: KvCacheSpec,
  { heads, kvHeads, headDim, window }: AttentionShape,
  { shape }: GpuTensor,
): Defines {
  return {
    HEADS: heads,
    KV_HEADS: kvHeads,
    HEAD_DIM: headDim,
    GROUP: heads / kvHeads,
    BLOCKS: layout.blocks / kvHeads,
    QKV_WIDTH: (heads + 2 * kvHeads) * headDim,
    SCALE: `f32(${1 / Math.sqrt(headDim)})`,
    WINDOW: window ?? 0,
    HALVES: dtype === "f16",
    PAGE_SIZE: pageSize,
    SEQUENCE_PAGES: shape[1]!,
    LANES: layout.lanes,
    TEAMS: layout.teams,
    ROUND_KEYS: 4 * layout.teams,
    MIN_ROUNDS,
    PART: headDim + 2,
    HEAD_BLOCKS: layout.blocks,
    SPLIT_GROUPS: layout.splitGroups,
    MAX_SPLITS: layout.maxSplits,
    TILED_FROM: layout.tiledFrom,
    TILE_ROWS,
    CHUNKS: Math.ceil(headDim / 32),
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
  const tables = [positions, sequences, pages].map((tensor) => context.resolve(tensor));
  const buffers = [qkv.shards[0]!.buffer, keys, values, ...tables.map((t) => t.shards[0]!.buffer)];
  return buffers.map((buffer) => ({ buffer, access: "read" }));
}

/** Whether the threads of a key lie in one subgroup. */
function canShuffle({ subgroups, device }: PlanContext, { lanes }: Layout): boolean {
  const { subgroupMinSize = 0 } = device.adapterInfo as { subgroupMinSize?: number };
  return subgroups && lanes <= subgroupMinSize && (lanes & (lanes - 1)) === 0;
}
