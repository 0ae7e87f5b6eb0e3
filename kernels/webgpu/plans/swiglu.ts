import type { Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { fold } from "../grid.ts";
import { planProduct } from "./linear_products.ts";
import { liveRows, read, single, write } from "./operands.ts";

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
  return [...halves, planGate(out, both.buffer)];
}

/** `out = silu(gate) * up`. */
function planGate(out: GpuTensor, both: GPUBuffer): Dispatch {
  const ffn = out.shape[1]!;
  const rows = liveRows(out);
  return {
    label: "swiglu",
    kernel: "swiglu_gate",
    defines: { GROUP, LIVE: rows.wgsl, FFN: ffn },
    bindings: [write({ buffer: single(out) }), read({ buffer: both })],
    grid: (counts, into) => fold(into, Math.ceil(rows.count(counts) * ffn / GROUP)),
    cost: (counts) => ({
      bytes: 12 * rows.count(counts) * ffn,
      flops: 4 * rows.count(counts) * ffn,
    }),
  };
}
