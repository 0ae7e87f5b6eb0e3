/** The models that are measured, by what they are run on. */
import type { WeightDType } from "../../kernels/mod.ts";
import type { ModelShape } from "../shapes.ts";

/** A model shape whose matrices are stored in a dtype. */
export interface GpuModel {
  readonly shape: ModelShape;
  readonly dtype: WeightDType;
}

const llama = { vocab: 128256, contextLength: 2048, heads: 32, kvHeads: 8 };

/** 8 billion parameters: 8.5 GB in Q8_0. */
const dense8b: ModelShape = { name: "dense-8b", ...llama, dim: 4096, layers: 32, ffn: 14336 };

/** 1.5 billion parameters, embeddings and head apart. */
const dense1b: ModelShape = { name: "dense-1b", ...llama, dim: 2048, layers: 16, ffn: 8192 };

/** 30 billion parameters of which a token uses 3: 32 GB in Q8_0. */
const moe30b: ModelShape = {
  name: "moe-30b",
  dim: 2048,
  layers: 48,
  ffn: 768,
  heads: 32,
  headDim: 128,
  kvHeads: 4,
  vocab: 151936,
  contextLength: 2048,
  experts: { count: 128, perToken: 8 },
};

/** 7 billion parameters of which a token uses 1. */
const moe7b: ModelShape = {
  name: "moe-7b",
  dim: 2048,
  layers: 16,
  ffn: 1024,
  heads: 16,
  kvHeads: 16,
  vocab: 50304,
  contextLength: 2048,
  experts: { count: 64, perToken: 8 },
};

const tiny = { dim: 256, heads: 4, kvHeads: 2, vocab: 512, contextLength: 2048, layers: 3 };

/** The dense form at the size of a software adapter. */
export const tinyDense: ModelShape = { name: "tiny-dense", ...tiny, ffn: 512 };

/** The mixture of experts at the size of a software adapter. */
export const tinyMoe: ModelShape = {
  name: "tiny-moe",
  ...tiny,
  ffn: 256,
  experts: { count: 8, perToken: 2 },
};

/** On a GPU, the most telling first. */
export const models: readonly GpuModel[] = [
  { shape: dense8b, dtype: "q8_0" },
  { shape: moe30b, dtype: "q4_k" },
  { shape: dense8b, dtype: "f16" },
  { shape: dense8b, dtype: "q4_k" },
  { shape: dense1b, dtype: "q8_0" },
  { shape: moe7b, dtype: "q8_0" },
  { shape: dense1b, dtype: "f16" },
  { shape: moe30b, dtype: "q8_0" },
  { shape: dense8b, dtype: "q4_0" },
  { shape: dense1b, dtype: "q4_0" },
];

/** On a software adapter. */
export const tinyModels: readonly GpuModel[] = [
  { shape: tinyDense, dtype: "q8_0" },
  { shape: tinyMoe, dtype: "q8_0" },
];
