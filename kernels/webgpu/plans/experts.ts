import type { ExpertChoice, ExpertWeights } from "../../backend.ts";
import type { Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { planGrouped } from "./experts_grouped.ts";
import { expertProducts, type Experts, planGated } from "./experts_products.ts";
import type { Product } from "./linear_product.ts";
import { planStreamed } from "./linear_products.ts";
import { type LiveRows, liveRows, part, read, single, times, within } from "./operands.ts";
import { matrixTuning } from "./tuning.ts";

/**
 * `out += Σ weight · down(silu(gate x) * up x)` over a token's chosen experts. Few slots, which are choices of
 * tokens, are taken one by one; from where experts have slots in common on, these are grouped by expert.
 */
export function planExperts(
  context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  choice: ExpertChoice,
  { first, count, gateUp, down }: ExpertWeights,
): Dispatch[] {
  const experts: Experts = {
    out,
    x,
    gateUp: context.resolve(gateUp),
    down: context.resolve(down),
    chosen: single(context.resolve(choice.experts)),
    masses: single(context.resolve(choice.weights)),
    topK: choice.experts.shape[1]!,
    first,
    count,
  };
  const tokens = liveRows(x);
  const { groupedRows, tiledRows, largeTiledRows, expertTiles } = matrixTuning(context);
  const most = (rows: number) => Math.max(1, Math.ceil(rows * count / experts.topK) - 1);
  let from = 1;
  return [
    { to: most(groupedRows), plan: planSingle },
    { to: most(tiledRows), plan: planGrouped },
    { to: most(largeTiledRows), plan: planGrouped, tile: expertTiles[0]! },
    { to: Infinity, plan: planGrouped, tile: expertTiles[1]! },
  ].flatMap(({ to, plan, tile }) => {
    const last = Math.min(to, tokens.capacity);
    if (from > last) return [];
    const [first, dispatches] = [from, plan(context, experts, part(tokens, 0, last), tile)];
    from = last + 1;
    return dispatches.map((dispatch) => within(tokens, first, last, dispatch));
  });
}

/** A row of workgroups for each slot, then one for each token that sums up its slots. */
function planSingle(context: PlanContext, experts: Experts, tokens: LiveRows): Dispatch[] {
  const { out, x, down, chosen, masses, topK, first } = experts;
  const [, dim, ffn] = down.shape as [number, number, number];
  const slots = times(tokens, topK);
  const inner = { buffer: context.scratch("experts, inner", 4 * slots.capacity * ffn) };
  const plan = (product: Product) => planStreamed(context, product, 1);
  const gated = planGated(context, experts, first, tokens, {
    label: `experts ${experts.gateUp.label}`,
    rows: slots,
    x: { buffer: single(x) },
    out: inner,
    width: ffn,
    results: ffn,
    defines: { SINGLE: true },
    bindings: [read({ buffer: chosen })],
  }, plan);
  const summed = expertProducts(experts, down, first, tokens, {
    label: `experts ${down.label}`,
    rows: tokens,
    x: inner,
    out: { buffer: single(out) },
    width: dim,
    results: dim,
    add: true,
    defines: {},
    combines: topK,
    bindings: [read({ buffer: chosen }), read({ buffer: masses })],
  });
  return [...gated, ...summed.map(plan)];
}
