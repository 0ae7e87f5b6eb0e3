/** The Hugging Face configuration of a GGUF model. */
import { FormatError } from "../errors.ts";
import type { GgufTensor } from "./header.ts";
import type { Metadata } from "./metadata.ts";
import type { Naming } from "./names.ts";
import type { Llama3Scaling } from "./rotary_factors.ts";

/** What a configuration is read from. */
export interface GgufModel {
  /** Path for messages. */
  readonly file: string;
  /** Metadata of the first part. */
  readonly metadata: Metadata;
  /** Tensors of all parts by their GGUF names. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Scaling that the rotary factors amount to, when the file holds factors. */
  readonly rotaryScaling?: Llama3Scaling;
}

interface Line {
  readonly hfArchitecture: string;
  readonly modelType: string;
  /** Query and key rows are interleaved rotary pairs. */
  readonly interleaved?: true;
  readonly normaliseExperts?: boolean;
}

const lines: Readonly<Record<string, Line>> = {
  llama: { hfArchitecture: "LlamaForCausalLM", modelType: "llama", interleaved: true },
  qwen2: { hfArchitecture: "Qwen2ForCausalLM", modelType: "qwen2" },
  qwen3: { hfArchitecture: "Qwen3ForCausalLM", modelType: "qwen3" },
  qwen2moe: {
    hfArchitecture: "Qwen2MoeForCausalLM",
    modelType: "qwen2_moe",
    normaliseExperts: false,
  },
  qwen3moe: {
    hfArchitecture: "Qwen3MoeForCausalLM",
    modelType: "qwen3_moe",
    normaliseExperts: true,
  },
  olmoe: { hfArchitecture: "OlmoeForCausalLM", modelType: "olmoe", normaliseExperts: false },
};

const mixtral: Line = {
  hfArchitecture: "MixtralForCausalLM",
  modelType: "mixtral",
  interleaved: true,
};

/**
 * The object that a `config.json` of this model would hold. Throws {@link FormatError} `Unsupported` for
 * other architectures, `InvalidConfig` for metadata that is missing or of a wrong type.
 */
export function configOf(model: GgufModel): Record<string, unknown> {
  const { metadata, tensors } = model;
  const line = lineOf(metadata);
  const config = {
    architectures: [line.hfArchitecture],
    model_type: line.modelType,
    hidden_act: "silu",
    ...sizesOf(model),
    rms_norm_eps: metadata.required("attention.layer_norm_rms_epsilon"),
    rope_theta: metadata.number("rope.freq_base") ?? 10000,
    rope_scaling: rotaryScalingOf(model),
    attention_bias: tensors.has("blk.0.attn_q.bias"),
    tie_word_embeddings: !tensors.has("output.weight"),
    sliding_window: null,
    ...mixtureOf(model, line),
    bos_token_id: metadata.token("bos_token_id"),
    eos_token_id: metadata.token("eos_token_id"),
  };
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

/** What the names and rows of the model's tensors depend on. */
export function namingOf(metadata: Metadata): Naming {
  const line = lineOf(metadata);
  const { heads, kvHeads } = headsOf(metadata);
  return {
    mixture: line === mixtral
      ? { block: "block_sparse_moe", gate: "w1", up: "w3", down: "w2" }
      : { block: "mlp", gate: "gate_proj", up: "up_proj", down: "down_proj" },
    ...line.interleaved && { interleaved: { heads, kvHeads } },
  };
}

function lineOf(metadata: Metadata): Line {
  const { architecture } = metadata;
  if (architecture === "llama" && (metadata.number("expert_count") ?? 0) > 0) return mixtral;
  const line = Object.hasOwn(lines, architecture) ? lines[architecture] : undefined;
  if (line !== undefined) return line;
  const known = Object.keys(lines).join(", ");
  throw new FormatError(
    "Unsupported",
    `Cannot serve GGUF architecture (known: ${known}): ${architecture.slice(0, 80)}`,
  );
}

function headsOf(metadata: Metadata): { heads: number; kvHeads: number } {
  const heads = metadata.count("attention.head_count") ??
    metadata.required("attention.head_count");
  return { heads, kvHeads: metadata.count("attention.head_count_kv") ?? heads };
}

function sizesOf({ metadata, tensors, file }: GgufModel): Record<string, unknown> {
  const { heads, kvHeads } = headsOf(metadata);
  const dim = metadata.required("embedding_length");
  const headDim = metadata.number("attention.key_length") ?? dim / heads;
  const valueDim = metadata.number("attention.value_length") ?? headDim;
  if (valueDim !== headDim) {
    const lengths = `key length ${headDim}, value length ${valueDim}`;
    throw new FormatError("Unsupported", `Cannot serve attention of ${file}: ${lengths}`);
  }
  const rotated = metadata.number("rope.dimension_count") ?? headDim;
  return {
    hidden_size: dim,
    num_hidden_layers: metadata.required("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    intermediate_size: metadata.number("feed_forward_length") ||
      metadata.required("expert_feed_forward_length"),
    vocab_size: tensors.get("token_embd.weight")?.shape[0] ?? metadata.required("vocab_size"),
    max_position_embeddings: metadata.required("context_length"),
    ...rotated !== headDim && { partial_rotary_factor: rotated / headDim },
  };
}

function rotaryScalingOf({ metadata, rotaryScaling }: GgufModel): object | null {
  if (rotaryScaling !== undefined) return rotaryScaling;
  const type = metadata.string(`${metadata.architecture}.rope.scaling.type`);
  const factor = metadata.number("rope.scaling.factor") ?? metadata.number("rope.scale_linear");
  if (type === "none" || (type === undefined && (factor ?? 1) === 1)) return null;
  const positions = metadata.number("rope.scaling.original_context_length");
  return {
    rope_type: type ?? "linear",
    ...factor !== undefined && { factor },
    ...positions !== undefined && { original_max_position_embeddings: positions },
  };
}

function mixtureOf({ metadata, tensors }: GgufModel, line: Line): Record<string, unknown> {
  const experts = metadata.number("expert_count") ?? 0;
  if (experts === 0) return {};
  const num_experts_per_tok = metadata.required("expert_used_count");
  if (line === mixtral) return { num_local_experts: experts, num_experts_per_tok };
  const layers = Array.from(
    { length: Math.min(metadata.required("block_count"), 1024) },
    (_, layer) => layer,
  );
  const isDense = (layer: number) => !tensors.has(`blk.${layer}.ffn_gate_inp.weight`);
  const rows = (kind: string, axis: number) =>
    tensors.get(`blk.${layers.find((layer) => !isDense(layer))}.${kind}.weight`)?.shape[axis];
  return {
    num_experts: experts,
    num_experts_per_tok,
    moe_intermediate_size: metadata.number("expert_feed_forward_length") ??
      rows("ffn_gate_exps", 1),
    shared_expert_intermediate_size: metadata.number("expert_shared_feed_forward_length") ??
      rows("ffn_gate_shexp", 0),
    norm_topk_prob: line.normaliseExperts,
    mlp_only_layers: layers.filter(isDense),
  };
}
