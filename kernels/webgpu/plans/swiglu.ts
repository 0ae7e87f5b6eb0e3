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
    x: single(x),
    weight: gateUp,
  };
  if (gateUp.shards.length === 1) {
    return planProduct(context, {
      ...product,
      weights: single(gateUp),
      out: single(out),
      width: ffn,
      column: 0,
      results: ffn,
      swiglu: true,
    });
  }
  const both = context.scratch("gate and up", 8 * out.shape[0]! * ffn);
  return [
    ...gateUp.shards.flatMap(({ buffer, first, count }) =>
      planProduct(context, {
        ...product,
        weights: buffer,
        out: both,
        width: 2 * ffn,
        column: first,
        results: count,
      })
    ),
    gate(out, both),
  ];
}

/** `out = silu(gate) * up`. */
function gate(out: GpuTensor, both: GPUBuffer): Dispatch {
  const ffn = out.shape[1]!;
  const rows = liveRows(out);
  return {
    label: "swiglu",
    kernel: "swiglu_gate",
    defines: { GROUP, LIVE: rows.wgsl, FFN: ffn },
    bindings: [write(single(out)), read(both)],
    grid: (counts, into) => fold(into, Math.ceil(rows.count(counts) * ffn / GROUP)),
    cost: (counts) => ({
      bytes: 12 * rows.count(counts) * ffn,
      flops: 4 * rows.count(counts) * ffn,
    }),
  };
}
