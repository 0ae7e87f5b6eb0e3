/** How attention is laid out on an adapter: what its kernels and their grids agree on. */
import type { AttentionShape, Counts, KvCacheSpec, Placement } from "../../backend.ts";
import { KernelError } from "../../errors.ts";
import type { PlanContext } from "../dispatch.ts";
import { kvStride } from "../kv_cache.ts";

/** Rows of a tile: `attention_prefill.wgsl` is written for it. */
export const TILE_ROWS = 32;
/** The largest head whose result `attention_prefill.wgsl` holds in registers. */
const MAX_HEAD_DIM = 256;
/** Least pages whose places a decoding workgroup holds. */
const LEAST_PAGES = 128;
/** Bytes of a vector in workgroup memory. */
const VECTOR = 16;

/** How a workgroup takes a token. */
export interface DecodeLayout {
  /** Query heads that it takes, which share the keys of their KV head: one, or up to four. */
  readonly heads: 1 | 4;
  /** Workgroups a token. */
  readonly blocks: number;
  /** Threads that hold one key, eight elements each: a team. */
  readonly lanes: number;
  /** Teams of a workgroup. */
  readonly teams: number;
  /** Keys that a team takes at once, in fours. */
  readonly fours: number;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Whether a team lies in one subgroup. */
  readonly shuffles: boolean;
  /** Vectors of every thread that are merged at once. */
  readonly columns: number;
  /** Vectors of workgroup memory in which threads exchange them. */
  readonly exchange: number;
}

/** What the kernels and their grids agree on. */
export interface AttentionLayout {
  /** A head a workgroup, where there are few, and several, where there are many. */
  readonly alone: DecodeLayout;
  readonly together: DecodeLayout;
  /** Heads of all tokens from which on several share a workgroup. */
  readonly sharedFrom: number;
  /** Vectors of a head that a tile has in workgroup memory at once: a multiple of 8. */
  readonly tileVectors: number;
  /** Steps of inner loops that are written out: 1, 2, 4 or 8. */
  readonly unroll: number;
  /** Floats of a part of one head. */
  readonly part: number;
  /** Query heads of a token. */
  readonly heads: number;
  /** Pages of the longest sequence. */
  readonly sequencePages: number;
  /** Most positions that a token sees. */
  readonly mostSeen: number;
  /** Tokens from which on a step may have tiles of one sequence. */
  readonly tiledFrom: number;
  /** Positions up to which a context is not split. */
  readonly splitFrom: number;
  /** Positions of a part, about. */
  readonly splitKeys: number;
  /** Workgroups that fill the adapter. */
  readonly splitGroups: number;
}

/** Most parts of a context. */
export const MOST_SPLITS = 32;

/** Lays attention out. Throws `Unsupported` for heads that are too large. */
export function attentionLayout(
  context: PlanContext,
  { heads, kvHeads, headDim, window }: AttentionShape,
  { pageSize }: KvCacheSpec,
  { pages }: Placement,
): AttentionLayout {
  if (headDim > MAX_HEAD_DIM) {
    throw new KernelError(
      "Unsupported",
      `Cannot record attention, heads have at most ${MAX_HEAD_DIM} elements: ${headDim}`,
    );
  }
  const { tuning } = context;
  const lanes = kvStride({ headDim }) / 8;
  const group = heads / kvHeads;
  return {
    alone: {
      ...workgroupOf(context, 1, lanes, tuning["attentionThreads"] ?? 256),
      ...{ heads: 1, blocks: heads, fours: tuning["attentionFours"] ?? 2 },
    },
    together: {
      ...workgroupOf(context, 4, lanes, tuning["attentionSharedThreads"] ?? 128),
      ...{ heads: 4, blocks: kvHeads * Math.ceil(group / 4), fours: 1 },
    },
    heads,
    sharedFrom: group === 1 ? Infinity : tuning["attentionSharedFrom"] ?? 512,
    tileVectors: tileVectors(context, headDim),
    unroll: tuning["attentionUnroll"] ?? 4,
    part: headDim + 3,
    sequencePages: pages.shape[1]!,
    mostSeen: Math.min(pages.shape[1]! * pageSize, window ?? Infinity),
    tiledFrom: tuning["attentionTiledFrom"] ?? 64,
    splitFrom: tuning["attentionSplitFrom"] ?? 1024,
    splitKeys: tuning["attentionSplitKeys"] ?? 256,
    splitGroups: tuning["attentionSplitGroups"] ?? 512,
  };
}

/** Keys that the teams of a workgroup take at once. */
export function roundKeys({ teams, fours }: DecodeLayout): number {
  return 4 * fours * teams;
}

/** Steps of the loop over teams that are written out: those of other loops, if they divide it. */
export function teamUnroll({ teams }: DecodeLayout, unroll: number): number {
  for (let steps = unroll; steps > 1; steps /= 2) if (teams % steps === 0) return steps;
  return 1;
}

/** Pages whose places a decoding workgroup holds: of one round at least, and of the page before. */
export function pagesHere(layout: DecodeLayout, pageSize: number): number {
  return Math.max(LEAST_PAGES, Math.ceil(roundKeys(layout) / pageSize) + 1);
}

/** How a step takes its tokens. */
export function decodeLayout(layout: AttentionLayout, { tokens }: Counts): DecodeLayout {
  return tokens * layout.heads < layout.sharedFrom ? layout.alone : layout.together;
}

/** Parts of every context in a step; 1 = it is not split. */
export function splitsOf(layout: AttentionLayout, counts: Counts): number {
  const { mostSeen, tiledFrom, splitFrom, splitKeys, splitGroups } = layout;
  const { tokens, context = mostSeen } = counts;
  const seen = Math.min(context, mostSeen);
  if (seen <= splitFrom || tokens >= tiledFrom) return 1;
  const fitting = Math.floor(splitGroups / (tokens * decodeLayout(layout, counts).blocks));
  return Math.max(1, Math.min(MOST_SPLITS, fitting, Math.ceil(seen / splitKeys)));
}

type Workgroup = Omit<DecodeLayout, "heads" | "blocks" | "fours">;

/** The largest workgroup of at most so many threads whose memory is there. */
function workgroupOf(
  context: PlanContext,
  heads: 1 | 4,
  lanes: number,
  threads: number,
): Workgroup {
  const shuffles = canShuffle(context, lanes);
  const most = Math.min(threads, shuffles ? 256 : 128);
  const room = context.device.limits.maxComputeWorkgroupStorageSize / VECTOR;
  const mostTeams = Math.max(1, Math.floor(most / lanes));
  for (let teams = mostTeams; teams > 1; teams >>= 1) {
    const found = fit(heads, lanes, teams, shuffles, room);
    if (found) return found;
  }
  return fit(heads, lanes, 1, shuffles, room)!;
}

/** A workgroup of so many teams, with as many columns as `room` vectors of memory allow. */
function fit(
  heads: 1 | 4,
  lanes: number,
  teams: number,
  shuffles: boolean,
  room: number,
): Workgroup | undefined {
  const threads = lanes * teams;
  const others = 4 * (heads + 1) * lanes + 3 * heads * teams + LEAST_PAGES / 4 + 1;
  for (let columns = 2 * heads; columns >= 1; columns /= 2) {
    const exchange = threads * (shuffles ? columns : Math.max(heads, columns));
    if (others + exchange <= room) return { lanes, teams, threads, shuffles, columns, exchange };
  }
  return undefined;
}

/** Heads are taken in as few chunks as memory allows: two tiles of 32 padded rows, weights, 64 vectors more. */
function tileVectors({ device }: PlanContext, headDim: number): number {
  const room = device.limits.maxComputeWorkgroupStorageSize / VECTOR - 32 * 9 - 64 - 16;
  const most = Math.min(32, Math.floor((room / 64 - 1) / 8) * 8);
  const chunks = Math.ceil(headDim / 4 / most);
  return Math.ceil(headDim / 4 / chunks / 8) * 8;
}

/** Whether the threads of a team lie in one subgroup. */
function canShuffle({ subgroups, device }: PlanContext, lanes: number): boolean {
  const { subgroupMinSize = 0 } = device.adapterInfo as { subgroupMinSize?: number };
  return subgroups && lanes <= subgroupMinSize && (lanes & (lanes - 1)) === 0;
}
