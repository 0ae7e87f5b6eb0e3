import { headDim, type ModelConfig } from "./config.ts";

/** How the numbers of a tensor are stored. */
export type Dtype = "F32" | "F16" | "BF16";

/** One tensor under its Hugging Face name; `shape` is outermost first, row-major. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** Where tensors come from. Any piece of a tensor can be read without the rest. */
export interface TensorSource {
  readonly config: ModelConfig;
  readonly tensors: readonly TensorInfo[];
  /** Fills `into` with the bytes of `tensor` that start at `offset`. */
  read(tensor: TensorInfo, offset: number, into: Uint8Array): void;
}

/** Bytes of one number. */
export function elementBytes(dtype: Dtype): number {
  return dtype === "F32" ? 4 : 2;
}

/** Bytes of a whole tensor. */
export function tensorBytes(tensor: TensorInfo): number {
  return tensor.shape.reduce((product, n) => product * n, elementBytes(tensor.dtype));
}

/** The name of layer `layer`'s tensor `rest`. */
export function layerTensor(layer: number, rest: string): string {
  return `model.layers.${layer}.${rest}.weight`;
}

/** The tensors that a model of this configuration has, in F16. */
export function tensorsOf(config: ModelConfig): TensorInfo[] {
  const { hidden_size: dim, vocab_size: vocab } = config;
  const layers = Array.from(
    { length: config.num_hidden_layers },
    (_, i) => layerTensors(config, i),
  );
  return [
    tensor("model.embed_tokens.weight", vocab, dim),
    ...layers.flat(),
    tensor("model.norm.weight", dim),
    ...(config.tie_word_embeddings ? [] : [tensor("lm_head.weight", vocab, dim)]),
  ];
}

function layerTensors(config: ModelConfig, layer: number): TensorInfo[] {
  const dim = config.hidden_size;
  const q = headDim(config) * config.num_attention_heads;
  const kv = headDim(config) * config.num_key_value_heads;
  const at = (rest: string, ...shape: number[]) => tensor(layerTensor(layer, rest), ...shape);
  return [
    at("input_layernorm", dim),
    at("self_attn.q_proj", q, dim),
    at("self_attn.k_proj", kv, dim),
    at("self_attn.v_proj", kv, dim),
    at("self_attn.o_proj", dim, q),
    at("post_attention_layernorm", dim),
    ...feedForwardTensors(config, at),
  ];
}

function feedForwardTensors(
  config: ModelConfig,
  at: (rest: string, ...shape: number[]) => TensorInfo,
): TensorInfo[] {
  const { hidden_size: dim, intermediate_size: ffn, num_local_experts: experts } = config;
  if (experts === undefined) {
    return [
      at("mlp.gate_proj", ffn, dim),
      at("mlp.up_proj", ffn, dim),
      at("mlp.down_proj", dim, ffn),
    ];
  }
  const ofExpert = (e: number) => [
    at(`block_sparse_moe.experts.${e}.w1`, ffn, dim),
    at(`block_sparse_moe.experts.${e}.w2`, dim, ffn),
    at(`block_sparse_moe.experts.${e}.w3`, ffn, dim),
  ];
  return [
    at("block_sparse_moe.gate", experts, dim),
    ...Array.from({ length: experts }, (_, e) => ofExpert(e)).flat(),
  ];
}

function tensor(name: string, ...shape: number[]): TensorInfo {
  return { name, dtype: "F16", shape };
}
