import { headDim, type ModelConfig } from "./config.ts";
import { placeholderTokens } from "./tokenizer.ts";

/** A typed metadata value of a GGUF file. */
export type MetadataValue =
  | { readonly type: "uint32"; readonly value: number }
  | { readonly type: "float32"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "int32s"; readonly value: readonly number[] };

const tokenType = { normal: 1, control: 3 };
const fileType = { "as stored": 1, Q8_0: 7 };

/** Metadata of the `llama` architecture: shapes, rotary base, a byte tokenizer. */
export function metadataOf(
  config: ModelConfig,
  name: string,
  matrices: keyof typeof fileType,
): [string, MetadataValue][] {
  return [
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.name", { type: "string", value: name }],
    ["general.file_type", u32(fileType[matrices])],
    ...shapeMetadata(config),
    ...tokenizerMetadata(config),
  ];
}

function shapeMetadata(config: ModelConfig): [string, MetadataValue][] {
  const head = headDim(config);
  const shape: [string, MetadataValue][] = [
    ["vocab_size", u32(config.vocab_size)],
    ["context_length", u32(config.max_position_embeddings)],
    ["embedding_length", u32(config.hidden_size)],
    ["block_count", u32(config.num_hidden_layers)],
    ["feed_forward_length", u32(config.intermediate_size)],
    ["rope.dimension_count", u32(head)],
    ["rope.freq_base", { type: "float32", value: config.rope_theta }],
    ["attention.head_count", u32(config.num_attention_heads)],
    ["attention.head_count_kv", u32(config.num_key_value_heads)],
    ["attention.key_length", u32(head)],
    ["attention.value_length", u32(head)],
    ["attention.layer_norm_rms_epsilon", { type: "float32", value: config.rms_norm_eps }],
  ];
  if (config.num_local_experts !== undefined) {
    shape.push(
      ["expert_count", u32(config.num_local_experts)],
      ["expert_used_count", u32(config.num_experts_per_tok ?? 2)],
    );
  }
  return shape.map(([key, value]) => [`llama.${key}`, value]);
}

function tokenizerMetadata(config: ModelConfig): [string, MetadataValue][] {
  const marks = new Set([config.bos_token_id, config.eos_token_id]);
  const tokens = placeholderTokens(config.vocab_size);
  const types = tokens.map((_, id) => marks.has(id) ? tokenType.control : tokenType.normal);
  return [
    ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
    ["tokenizer.ggml.pre", { type: "string", value: "gpt-2" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "int32s", value: types }],
    ["tokenizer.ggml.merges", { type: "strings", value: [] }],
    ["tokenizer.ggml.bos_token_id", u32(config.bos_token_id)],
    ["tokenizer.ggml.eos_token_id", u32(config.eos_token_id)],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: false }],
  ];
}

function u32(value: number): MetadataValue {
  return { type: "uint32", value };
}
