import type { Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { fold } from "../grid.ts";
import { planProduct } from "./linear_products.ts";
import { type LiveRows, liveRows, type Range, read, single, write } from "./operands.ts";

const GROUP = 256;

/** `out = silu(x · gateᵀ) * (x · upᵀ)`. Gate and up rows in different buffers need a pass of their own. */
export function planSwiglu(
  context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  gateUp: GpuTensor,
): Dispatch[] {
  const ffn = out.shape[1]!;
  const product = {
    label: `swiglu ${gateUp.label}`,
    rows: liveRows(x),
    x: { buffer: single(x) },
    weight: gateUp,
  };
  if (gateUp.shards.length === 1) {
    const weights = single(gateUp);
    const outputs = { out: { buffer: single(out) }, width: ffn, results: ffn };
    return planProduct(context, { ...product, ...outputs, weights, swiglu: true });
  }
  const both = { buffer: context.scratch("gate and up", 8 * out.shape[0]! * ffn) };
  const halves = gateUp.shards.flatMap(({ buffer, first, count }) =>
    planProduct(context, {
      ...product,
      weights: buffer,
      out: both,
      width: 2 * ffn,
      column: first,
      results: count,
    })
  );
  return [...halves, planGate(liveRows(out), ffn, { buffer: single(out) }, both)];
}

/** `out = silu(gate) * up`; rows of `both` have `ffn` gates, then as many ups. */
export function planGate(rows: LiveRows, ffn: number, out: Range, both: Range): Dispatch {
  return {
    label: "swiglu",
    kernel: "swiglu_gate",
    defines: { GROUP, LIVE: rows.wgsl, FFN: ffn },
    bindings: [write(out), read(both)],
    grid: (counts, into) => fold(into, Math.ceil(rows.count(counts) * ffn / GROUP)),
    cost: (counts) => ({
      bytes: 12 * rows.count(counts) * ffn,
      flops: 4 * rows.count(counts) * ffn,
    }),
  };
}
