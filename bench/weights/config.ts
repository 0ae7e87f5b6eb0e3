import { z } from "zod";
import type { ModelShape } from "../shapes.ts";

const count = z.number().int().positive().max(1 << 24);

const schema = z.object({
  model_type: z.enum(["llama", "mixtral"]),
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: count.optional(),
  vocab_size: count,
  max_position_embeddings: count,
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive(),
  tie_word_embeddings: z.boolean(),
  bos_token_id: z.number().int().nonnegative(),
  eos_token_id: z.number().int().nonnegative(),
  num_local_experts: count.optional(),
  num_experts_per_tok: count.optional(),
});

/** The fields of a Hugging Face `config.json` that a Llama or Mixtral needs. */
export type ModelConfig = z.infer<typeof schema>;

/** Reads a `config.json`. Throws a ZodError that names the wrong field. */
export function parseConfig(json: unknown): ModelConfig {
  return schema.parse(json);
}

/** The configuration of a random-weight model. */
export function configOf(shape: ModelShape): ModelConfig {
  return {
    model_type: shape.experts === undefined ? "llama" : "mixtral",
    hidden_size: shape.dim,
    intermediate_size: shape.ffn,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim ?? shape.dim / shape.heads,
    vocab_size: shape.vocab,
    max_position_embeddings: shape.contextLength,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    bos_token_id: 256,
    eos_token_id: 257,
    ...(shape.experts && {
      num_local_experts: shape.experts.count,
      num_experts_per_tok: shape.experts.perToken,
    }),
  };
}

/** The width of one attention head. */
export function headDim(config: ModelConfig): number {
  return config.head_dim ?? config.hidden_size / config.num_attention_heads;
}
