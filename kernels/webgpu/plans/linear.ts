import type { LinearOptions } from "../../backend.ts";
import type { Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { planProduct } from "./linear_products.ts";
import { liveRows, single } from "./operands.ts";

/** `out = x · weightᵀ`, with bias, residual and first column as asked: a product a shard of the weight. */
export function planLinear(
  context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  weight: GpuTensor,
  { bias, add = false, column = 0 }: LinearOptions,
): Dispatch[] {
  const biases = bias && single(context.resolve(bias));
  return weight.shards.flatMap(({ buffer, first, count }) =>
    planProduct(context, {
      label: `linear ${weight.label}`,
      rows: liveRows(x),
      x: { buffer: single(x) },
      weight,
      weights: buffer,
      out: { buffer: single(out) },
      width: out.shape[1]!,
      column: column + first,
      results: count,
      add,
      ...(biases && { bias: { buffer: biases, first } }),
    })
  );
}
