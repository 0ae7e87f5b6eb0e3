/** Products of rows that have experts as their weights. */
import type { Counts, WeightDType } from "../../backend.ts";
import type { GpuTensor } from "../dispatch.ts";
import type { Product, ProductExperts } from "./linear_product.ts";
import type { LiveRows } from "./operands.ts";
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

/** One product a shard of a stack of matrices, which number their experts from `base` on. */
export function expertProducts(
  { count, topK }: Experts,
  weight: GpuTensor,
  base: number,
  tokens: LiveRows,
  { defines, bindings, tiles, combines = 0, ...product }: ExpertProduct,
): Product[] {
  const [, rows, k] = weight.shape as [number, number, number];
  const bytes = rows * rowBytes(weight.dtype as WeightDType, k);
  const used = (counts: Counts) => Math.min(tokens.count(counts) * topK, count) / count;
  return weight.shards.map((shard) => ({
    ...product,
    weight,
    weights: shard.buffer,
    experts: {
      defines: {
        ...defines,
        SLOTS: topK,
        FIRST_EXPERT: base + shard.first,
        EXPERTS: shard.count,
        MATRIX_ROWS: rows,
        COMBINE: combines > 0,
      },
      combines,
      bindings,
      ...(tiles && { tiles }),
      weightBytes: (counts) => used(counts) * shard.count * bytes,
    },
  }));
}
