import type { ModelConfig } from "./config.ts";
import { blockBytes, blockElements } from "./quantise.ts";
import { type Dtype, elementBytes, layerTensor, type TensorInfo } from "./tensors.ts";

/** How a GGUF file of this bench stores a tensor. */
export type GgufDtype = Dtype | "Q8_0";

/** One tensor of a GGUF file and the Hugging Face tensors that it is made of. */
export interface GgufTensor {
  readonly name: string;
  readonly dtype: GgufDtype;
  /** Innermost dimension first. */
  readonly dims: readonly number[];
  /** Concatenated in this order: several for stacked experts. */
  readonly parts: readonly TensorInfo[];
  /** Rows of each head go from half-split to interleaved rotary order; absent: kept. */
  readonly interleaveHeads?: number;
}

/** Bytes of one tensor in the file. */
export function ggufBytes({ dtype, dims }: GgufTensor): number {
  const count = dims.reduce((product, n) => product * n);
  return dtype === "Q8_0" ? count / blockElements * blockBytes : count * elementBytes(dtype);
}

/** The same tensors with their matrices in Q8_0; what is F32 stays so. */
export function quantised(tensors: readonly GgufTensor[]): GgufTensor[] {
  return tensors.map((tensor) => {
    if (tensor.dtype !== "F16") return tensor;
    if (tensor.dims[0]! % blockElements === 0) return { ...tensor, dtype: "Q8_0" };
    throw new Error(`Cannot quantise ${tensor.name}, its rows are no whole blocks: ${tensor.dims}`);
  });
}

/** The tensors of the `llama` architecture. Throws when one is missing. */
export function ggufTensors(config: ModelConfig, tensors: readonly TensorInfo[]): GgufTensor[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const find = (name: string) => {
    const tensor = byName.get(name);
    if (tensor === undefined) throw new Error(`Cannot find tensor: ${name}`);
    return tensor;
  };
  const head = config.tie_word_embeddings ? [] : [plain("output", find("lm_head.weight"))];
  return [
    plain("token_embd", find("model.embed_tokens.weight")),
    plain("output_norm", find("model.norm.weight")),
    ...head,
    ...Array.from(
      { length: config.num_hidden_layers },
      (_, layer) => layerOf(config, layer, (rest) => find(layerTensor(layer, rest))),
    ).flat(),
  ];
}

function layerOf(
  config: ModelConfig,
  layer: number,
  find: (rest: string) => TensorInfo,
): GgufTensor[] {
  const block = (name: string) => `blk.${layer}.${name}`;
  const one = (name: string, rest: string) => plain(block(name), find(rest));
  const rotary = (name: string, rest: string, heads: number) => ({
    ...one(name, rest),
    interleaveHeads: heads,
  });
  const feedForward = config.num_local_experts === undefined
    ? [
      one("ffn_gate", "mlp.gate_proj"),
      one("ffn_up", "mlp.up_proj"),
      one("ffn_down", "mlp.down_proj"),
    ]
    : expertsOf(config.num_local_experts, block, find);
  return [
    one("attn_norm", "input_layernorm"),
    rotary("attn_q", "self_attn.q_proj", config.num_attention_heads),
    rotary("attn_k", "self_attn.k_proj", config.num_key_value_heads),
    one("attn_v", "self_attn.v_proj"),
    one("attn_output", "self_attn.o_proj"),
    one("ffn_norm", "post_attention_layernorm"),
    ...feedForward,
  ];
}

function expertsOf(
  count: number,
  block: (name: string) => string,
  find: (rest: string) => TensorInfo,
): GgufTensor[] {
  const stacked = (name: string, weight: string): GgufTensor => {
    const parts = Array.from(
      { length: count },
      (_, e) => find(`block_sparse_moe.experts.${e}.${weight}`),
    );
    const { dtype, shape } = parts[0]!;
    return { name: `${block(name)}.weight`, dtype, dims: [...shape.toReversed(), count], parts };
  };
  return [
    { ...plain(block("ffn_gate_inp"), find("block_sparse_moe.gate")), dtype: "F32" },
    stacked("ffn_gate_exps", "w1"),
    stacked("ffn_down_exps", "w2"),
    stacked("ffn_up_exps", "w3"),
  ];
}

function plain(name: string, part: TensorInfo): GgufTensor {
  const dtype = part.shape.length === 1 ? "F32" : part.dtype;
  return { name: `${name}.weight`, dtype, dims: part.shape.toReversed(), parts: [part] };
}
