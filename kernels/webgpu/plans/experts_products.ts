/** Products of rows that have experts as their weights. */
import type { Counts, WeightDType } from "../../backend.ts";
import type { Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import type { Product, ProductExperts } from "./linear_product.ts";
import type { LiveRows } from "./operands.ts";
import { planGate } from "./swiglu.ts";
import { rowBytes } from "./weights.ts";

/** The operands of one operation. */
export interface Experts {
  /** f32 `[tokens, dim]`. */
  readonly out: GpuTensor;
  /** f32 `[tokens, dim]`. */
  readonly x: GpuTensor;
  /** `[count, 2 * ffn, dim]`. */
  readonly gateUp: GpuTensor;
  /** `[count, dim, ffn]`. */
  readonly down: GpuTensor;
  /** i32 `[tokens, topK]`: the experts of the *slots*, a token's choices. */
  readonly chosen: GPUBuffer;
  /** f32 `[tokens, topK]`. */
  readonly masses: GPUBuffer;
  /** Slots a token. */
  readonly topK: number;
  /** Number of the first expert held. */
  readonly first: number;
  /** How many are held. */
  readonly count: number;
}

/** What a product with experts is, the weight's shard aside. */
export type ExpertProduct =
  & Omit<Product, "weight" | "weights" | "experts">
  & Omit<ProductExperts, "weightBytes">;

/**
 * One product a shard of a stack of matrices, which number their experts from `base` on. Shards of parts of a matrix
 * give the columns of their rows.
 */
export function expertProducts(
  { count, topK }: Experts,
  weight: GpuTensor,
  base: number,
  tokens: LiveRows,
  { defines, bindings, tiles, combines = 0, ...product }: ExpertProduct,
): Product[] {
  const [, matrixRows, k] = weight.shape as [number, number, number];
  const used = (counts: Counts) => Math.min(tokens.count(counts) * topK, count) / count;
  return weight.shards.map(({ buffer, first, count, part }) => {
    const rows = part?.count ?? matrixRows;
    const bytes = count * rows * rowBytes(weight.dtype as WeightDType, k);
    return {
      ...product,
      ...(part && { column: part.first, results: part.count }),
      weight,
      weights: buffer,
      experts: {
        defines: {
          ...defines,
          SLOTS: topK,
          FIRST_EXPERT: base + first,
          EXPERTS: count,
          MATRIX_ROWS: rows,
          COMBINE: combines > 0,
        },
        combines,
        bindings,
        ...(tiles && { tiles }),
        weightBytes: (counts) => used(counts) * bytes,
      },
    };
  });
}

/**
 * `out = silu(gate x) * up x` of rows with experts, in the products that `plan` makes dispatches of. Where a matrix lies
 * in several buffers, gates and ups are products of their own.
 */
export function planGated(
  context: PlanContext,
  experts: Experts,
  base: number,
  tokens: LiveRows,
  product: ExpertProduct,
  plan: (product: Product) => Dispatch,
): Dispatch[] {
  const { gateUp } = experts;
  if (gateUp.shards.every(({ part }) => !part)) {
    return expertProducts(experts, gateUp, base, tokens, { ...product, swiglu: true }).map(plan);
  }
  const { rows, width: ffn, out } = product;
  const both = { buffer: context.scratch("experts, gates and ups", 8 * rows.capacity * ffn) };
  const halves = { ...product, out: both, width: 2 * ffn };
  return [
    ...expertProducts(experts, gateUp, base, tokens, halves).map(plan),
    planGate(rows, ffn, out, both),
  ];
}
