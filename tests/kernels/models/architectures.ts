/** Small models of every line, with sizes that fit no vector width. */
import type { FloatDType } from "./checkpoint.ts";
import type { HubConfig } from "./oracle.ts";

/** A model to test. */
export interface ModelCase {
  readonly name: string;
  readonly dtype: FloatDType;
  readonly config: HubConfig;
  readonly shardBytes?: number;
}

const base = {
  hidden_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 37,
  vocab_size: 67,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  hidden_act: "silu",
} as const;

/** One model a line, and one a variant of it. */
export const modelCases: readonly ModelCase[] = [
  {
    name: "Llama with attention_bias, tied",
    dtype: "f32",
    config: {
      ...base,
      architectures: ["LlamaForCausalLM"],
      attention_bias: true,
      tie_word_embeddings: true,
      sliding_window: 4,
    },
  },
  {
    name: "Llama with rope_scaling llama3, in shards",
    dtype: "bf16",
    shardBytes: 9000,
    config: {
      ...base,
      architectures: ["LlamaForCausalLM"],
      hidden_size: 40,
      num_key_value_heads: 1,
      head_dim: 8,
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    },
  },
  {
    name: "Llama with rope_parameters linear",
    dtype: "f16",
    config: {
      ...base,
      architectures: ["LlamaForCausalLM"],
      num_key_value_heads: 4,
      rope_theta: 3,
      rope_parameters: { rope_type: "linear", rope_theta: 5000, factor: 2.5 },
    },
  },
  {
    name: "Mistral with sliding_window",
    dtype: "f32",
    config: { ...base, architectures: ["MistralForCausalLM"], sliding_window: 5 },
  },
  {
    name: "Qwen2 with windows above max_window_layers, tied",
    dtype: "f32",
    config: {
      ...base,
      architectures: ["Qwen2ForCausalLM"],
      sliding_window: 6,
      use_sliding_window: true,
      max_window_layers: 1,
      tie_word_embeddings: true,
    },
  },
  {
    name: "Qwen3 with wide heads and layer_types",
    dtype: "bf16",
    config: {
      ...base,
      architectures: ["Qwen3ForCausalLM"],
      head_dim: 16,
      num_key_value_heads: 1,
      attention_bias: true,
      sliding_window: 5,
      use_sliding_window: true,
      layer_types: ["full_attention", "sliding_attention", "full_attention"],
    },
  },
  {
    name: "Mixtral",
    dtype: "f16",
    config: {
      ...base,
      architectures: ["MixtralForCausalLM"],
      sliding_window: null,
      num_local_experts: 5,
      num_experts_per_tok: 2,
    },
  },
  {
    name: "Qwen2-MoE with a shared expert and dense layers",
    dtype: "f32",
    config: {
      ...base,
      architectures: ["Qwen2MoeForCausalLM"],
      num_hidden_layers: 6,
      qkv_bias: true,
      num_experts: 7,
      num_experts_per_tok: 3,
      moe_intermediate_size: 18,
      shared_expert_intermediate_size: 29,
      norm_topk_prob: false,
      decoder_sparse_step: 2,
      mlp_only_layers: [3],
      sliding_window: 7,
      use_sliding_window: true,
      max_window_layers: 4,
    },
  },
  {
    name: "Qwen3-MoE with normalised weights",
    dtype: "bf16",
    config: {
      ...base,
      architectures: ["Qwen3MoeForCausalLM"],
      head_dim: 10,
      num_experts: 6,
      num_experts_per_tok: 3,
      moe_intermediate_size: 20,
      norm_topk_prob: true,
      rope_parameters: { rope_type: "default", rope_theta: 1_000_000 },
      sliding_window: 8,
      use_sliding_window: true,
    },
  },
  {
    name: "OLMoE with norms over whole rows",
    dtype: "f32",
    config: {
      ...base,
      architectures: ["OlmoeForCausalLM"],
      num_experts: 5,
      num_experts_per_tok: 2,
      moe_intermediate_size: 24,
      norm_topk_prob: false,
    },
  },
];
