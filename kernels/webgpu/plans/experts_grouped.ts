/** Experts whose slots are grouped: lists by expert, products of their tiles, sums over the slots of a token. */
import type { Counts } from "../../backend.ts";
import type { Dispatch, PlanContext } from "../dispatch.ts";
import { fold } from "../grid.ts";
import { expertProducts, type Experts, planGated } from "./experts_products.ts";
import type { Product } from "./linear_product.ts";
import { planStreamed, planTiled } from "./linear_products.ts";
import { type LiveRows, part, type Range, read, single, times, write } from "./operands.ts";
import { matrixTuning, type Tile } from "./tuning.ts";

const GROUP = 256;
/** Parts of so many tokens begin at bindable offsets. */
const ALIGNED_TOKENS = 64;

/** Plans `tokens`, in a tile of `gemm.wgsl`, else of `gemv.wgsl`. */
export function planGrouped(
  context: PlanContext,
  experts: Experts,
  tokens: LiveRows,
  tile?: Tile,
): Dispatch[] {
  const { down, topK } = experts;
  const [, dim, ffn] = down.shape as [number, number, number];
  const limit = Math.min(
    matrixTuning(context).expertBytes,
    context.device.limits.maxStorageBufferBindingSize,
  );
  const most = Math.floor(limit / (4 * topK * Math.max(dim, ffn) * ALIGNED_TOKENS));
  const each = Math.max(1, most) * ALIGNED_TOKENS;
  return Array.from(
    { length: Math.ceil(tokens.capacity / each) },
    (_, i) => planPart(context, experts, part(tokens, i * each, each), i * each, tile),
  ).flat();
}

function planPart(
  context: PlanContext,
  experts: Experts,
  tokens: LiveRows,
  first: number,
  tile?: Tile,
): Dispatch[] {
  const { out, x, down, topK, count } = experts;
  const [, dim, ffn] = down.shape as [number, number, number];
  const size = tile ? tile.down * tile.tokens : matrixTuning(context).streamedTile;
  const slots = times(tokens, topK);
  const scratch = (name: string, bytes: number): Range => ({
    buffer: context.scratch(`experts, ${name}`, bytes),
  });
  const tiles = scratch("tiles", 16 * (Math.floor(slots.capacity / size) + count));
  const list = scratch("list", 4 * slots.capacity);
  const inner = scratch("inner", 4 * slots.capacity * ffn);
  const results = scratch("results", 4 * slots.capacity * dim);
  const from = (buffer: GPUBuffer, width: number): Range => ({ buffer, offset: 4 * first * width });
  const [chosen, masses] = [from(experts.chosen, topK), from(experts.masses, topK)];
  const shared = {
    rows: slots,
    bindings: [read(tiles), read(list)],
    tiles: (counts: Counts) => tileCount(slots.count(counts), size, count),
  };
  const plan = (product: Product) =>
    tile ? planTiled(context, product, tile) : planStreamed(context, product, size);
  const gated = planGated(context, experts, 0, tokens, {
    ...shared,
    label: `experts ${experts.gateUp.label}`,
    x: from(single(x), dim),
    out: inner,
    width: ffn,
    results: ffn,
    defines: { GROUPED: true },
  }, plan);
  const scattered = expertProducts(experts, down, 0, tokens, {
    ...shared,
    label: `experts ${down.label}`,
    x: inner,
    out: results,
    width: dim,
    results: dim,
    defines: { GROUPED: true, SCATTER: true },
  });
  return [
    planLists(experts, slots, size, [write(tiles), write(list), read(chosen)]),
    ...gated,
    ...scattered.map(plan),
    planCombine(experts, tokens, dim, [
      write(from(single(out), dim)),
      read(results),
      read(chosen),
      read(masses),
    ]),
  ];
}

/** As many as `experts_group.wgsl` fills. */
function tileCount(slots: number, size: number, experts: number): number {
  return slots === 0 ? 0 : Math.floor(slots / size) + experts;
}

function planLists(
  { first, count }: Experts,
  slots: LiveRows,
  size: number,
  bindings: Dispatch["bindings"],
): Dispatch {
  return {
    label: "experts, lists",
    kernel: "experts_group",
    defines: {
      THREADS: GROUP,
      LIVE: slots.wgsl,
      TILE: size,
      FIRST_EXPERT: first,
      EXPERTS: count,
    },
    bindings,
    grid: (counts, into) => {
      into[0] = slots.count(counts) === 0 ? 0 : count;
      into[1] = into[2] = 1;
    },
    cost: (counts) => ({ bytes: 8 * slots.count(counts), flops: 0 }),
  };
}

function planCombine(
  { first, count, topK }: Experts,
  tokens: LiveRows,
  dim: number,
  bindings: Dispatch["bindings"],
): Dispatch {
  const elements = (counts: Counts) => tokens.count(counts) * dim;
  return {
    label: "experts, sums",
    kernel: "experts_combine",
    defines: {
      GROUP,
      LIVE: tokens.wgsl,
      WIDTH: dim,
      SLOTS: topK,
      FIRST_EXPERT: first,
      EXPERTS: count,
    },
    bindings,
    grid: (counts, into) => fold(into, Math.ceil(elements(counts) / GROUP)),
    cost: (counts) => ({
      bytes: 4 * elements(counts) * (topK + 2),
      flops: 2 * elements(counts) * topK,
    }),
  };
}
