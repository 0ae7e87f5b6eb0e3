import { configOf, tensorsOf } from "./weights/mod.ts";

/** The shape of a random-weight model: a Llama, or a Mixtral when it has experts. */
export interface ModelShape {
  readonly name: string;
  readonly dim: number;
  readonly layers: number;
  /** Width of the feed-forward layer, of one expert when there are experts. */
  readonly ffn: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Elements a head; absent = `dim / heads`. */
  readonly headDim?: number;
  readonly vocab: number;
  readonly contextLength: number;
  readonly experts?: { readonly count: number; readonly perToken: number };
}

/** How a model's matrices are stored. */
export type MatrixDtype = "F16" | "Q8_0";

/** A model to measure: a shape whose matrices are stored in a dtype. */
export interface BenchModel {
  readonly shape: ModelShape;
  readonly dtype: MatrixDtype;
}

const full = { dim: 1024, heads: 16, kvHeads: 4, vocab: 32000, contextLength: 2048 };
const tiny = { dim: 64, heads: 4, kvHeads: 2, vocab: 320, contextLength: 1024 };

/** 246 million parameters: 492 MB in F16, 262 MB in Q8_0. */
export const dense: ModelShape = { name: "dense", ...full, layers: 16, ffn: 2816 };

/** 1 billion parameters, 4 of 32 experts used for each token: 2 GB in F16, 1.07 GB in Q8_0. */
export const moe: ModelShape = {
  name: "moe",
  ...full,
  layers: 12,
  ffn: 768,
  experts: { count: 32, perToken: 4 },
};

/** The dense form at the size of a test. */
export const tinyDense: ModelShape = { name: "tiny-dense", ...tiny, layers: 2, ffn: 96 };

/** The mixture of experts at the size of a test. */
export const tinyMoe: ModelShape = {
  name: "tiny-moe",
  ...tiny,
  layers: 2,
  ffn: 64,
  experts: { count: 8, perToken: 2 },
};

const elementBytes = { F16: 2, Q8_0: 34 / 32 };

/** Bytes of matrices that one token at batch 1 must read: a row of embeddings, chosen experts only. */
export function bytesPerToken({ shape, dtype }: BenchModel): number {
  const used = shape.experts === undefined ? 1 : shape.experts.perToken / shape.experts.count;
  return tensorsOf(configOf(shape))
    .filter(({ name, shape }) => shape.length === 2 && !name.includes("embed_tokens"))
    .map(({ name, shape }) =>
      shape[0]! * shape[1]! * elementBytes[dtype] * (name.includes(".experts.") ? used : 1)
    )
    .reduce((sum, bytes) => sum + bytes);
}

/** Bytes of the keys and values of one token in F16, as both engines keep them. */
export function kvBytesPerToken({ dim, heads, kvHeads, headDim, layers }: ModelShape): number {
  return 2 * 2 * layers * kvHeads * (headDim ?? dim / heads);
}
