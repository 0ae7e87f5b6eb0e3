/** How attention is laid out on an adapter: what its kernels and their grids agree on. */
import type { AttentionShape, Counts, KvCacheSpec, Placement } from "../../backend.ts";
import { KernelError } from "../../errors.ts";
import type { PlanContext } from "../dispatch.ts";
import { kvStride } from "../kv_cache.ts";

/** Rows of a tile: `attention_prefill.wgsl` is written for it. */
export const TILE_ROWS = 32;
/** The largest head whose result `attention_prefill.wgsl` holds in registers. */
const MAX_HEAD_DIM = 256;
/** Bytes of a vector in workgroup memory. */
const VECTOR = 16;

/** What the kernels and their grids agree on. */
export interface AttentionLayout {
  /** Blocks of at most four query heads of one KV head: a workgroup each. */
  readonly blocks: number;
  /** Threads that hold one key, eight elements each: a team. */
  readonly lanes: number;
  /** Teams of a workgroup. */
  readonly teams: number;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Whether a team lies in one subgroup. */
  readonly shuffles: boolean;
  /** Vectors of every thread that are merged at once: a divisor of 8. */
  readonly columns: number;
  /** Vectors of workgroup memory in which threads exchange them. */
  readonly exchange: number;
  /** Vectors of a head that a tile has in workgroup memory at once: a multiple of 8. */
  readonly tileVectors: number;
  /** Floats of a part of one head. */
  readonly part: number;
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
  /** Most parts of a context. */
  readonly mostSplits: number;
}

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
  const splitFrom = tuning["attentionSplitFrom"] ?? 1024;
  const splitGroups = tuning["attentionSplitGroups"] ?? 512;
  const blocks = kvHeads * Math.ceil(heads / kvHeads / 4);
  const sequencePages = pages.shape[1]!;
  const mostSeen = Math.min(sequencePages * pageSize, window ?? Infinity);
  const mostSplits = Math.max(1, Math.min(32, Math.floor(splitGroups / blocks)));
  return {
    ...workgroupOf(context, kvStride({ headDim }) / 8),
    blocks,
    tileVectors: tileVectors(context, headDim),
    part: headDim + 3,
    sequencePages,
    mostSeen,
    tiledFrom: tuning["attentionTiledFrom"] ?? 64,
    splitFrom,
    splitKeys: tuning["attentionSplitKeys"] ?? 256,
    splitGroups,
    mostSplits: mostSeen > splitFrom ? mostSplits : 1,
  };
}

/** Parts of every context in a step; 1 = it is not split. */
export function splitsOf(layout: AttentionLayout, { tokens, context }: Counts): number {
  const { blocks, mostSeen, tiledFrom, splitFrom, splitKeys, splitGroups, mostSplits } = layout;
  const seen = Math.min(context ?? mostSeen, mostSeen);
  if (seen <= splitFrom || tokens >= tiledFrom) return 1;
  const fitting = Math.min(mostSplits, Math.floor(splitGroups / (tokens * blocks)));
  return Math.max(1, Math.min(fitting, Math.ceil(seen / splitKeys)));
}

type Workgroup = Pick<
  AttentionLayout,
  "lanes" | "teams" | "threads" | "shuffles" | "columns" | "exchange"
>;

/** The largest workgroup that tuning allows and whose memory is there. */
function workgroupOf(context: PlanContext, lanes: number): Workgroup {
  const shuffles = canShuffle(context, lanes);
  const most = Math.min(context.tuning["attentionThreads"] ?? 256, shuffles ? 256 : 128);
  const room = context.device.limits.maxComputeWorkgroupStorageSize / VECTOR;
  for (let teams = Math.max(1, Math.floor(most / lanes)); teams > 1; teams >>= 1) {
    const found = fit(lanes, teams, shuffles, room);
    if (found) return found;
  }
  return fit(lanes, 1, shuffles, room)!;
}

/** A workgroup of so many teams, with as many columns as `room` vectors of memory allow. */
function fit(
  lanes: number,
  teams: number,
  shuffles: boolean,
  room: number,
): Workgroup | undefined {
  const threads = lanes * teams;
  const others = 20 * lanes + 6 * teams;
  for (const columns of [8, 4, 2, 1]) {
    const exchange = threads * (shuffles ? columns : Math.max(4, columns));
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
