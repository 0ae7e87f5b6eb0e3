/** Reduces a `config.json` to a model's facts, with the meanings and defaults of Hugging Face. */
import { KernelError } from "../errors.ts";
import { quote } from "../quote.ts";
import { type Config, readConfig, required } from "./config.ts";
import type { Architecture, MixtureSpec, ModelSpec } from "./spec.ts";
import { parseScaling } from "./parse_rotary.ts";

const architectures: Readonly<Record<string, Architecture>> = {
  LlamaForCausalLM: "llama",
  MistralForCausalLM: "mistral",
  Qwen2ForCausalLM: "qwen2",
  Qwen3ForCausalLM: "qwen3",
  MixtralForCausalLM: "mixtral",
  Qwen2MoeForCausalLM: "qwen2_moe",
  Qwen3MoeForCausalLM: "qwen3_moe",
  OlmoeForCausalLM: "olmoe",
};

/** Reads a parsed `config.json`. Throws `InvalidModel` or `Unsupported`, naming the field and its value. */
export function parseModelSpec(json: unknown): ModelSpec {
  const config = readConfig(json);
  const architecture = findArchitecture(config.architectures);
  refuseUnsupported(config);
  const isMixtral = architecture === "mixtral";
  const hasBias = config.attention_bias === true &&
    ["llama", "qwen3", "qwen3_moe", "olmoe"].includes(architecture);
  const mixture = readMixture(architecture, config);
  const spec: ModelSpec = {
    architecture,
    dim: config.hidden_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads ?? config.num_attention_heads,
    headDim: config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads),
    ffn: config.intermediate_size,
    vocab: config.vocab_size,
    maxPositions: config.max_position_embeddings,
    eps: config.rms_norm_eps ?? (isMixtral || architecture === "olmoe" ? 1e-5 : 1e-6),
    theta: config.rope_parameters?.rope_theta ?? config.rope_theta ?? (isMixtral ? 1e6 : 1e4),
    scaling: parseScaling(config),
    qkvBias: hasBias || architecture === "qwen2" ||
      (architecture === "qwen2_moe" && config.qkv_bias !== false),
    outputBias: hasBias,
    queryKeyNorm: queryKeyNormOf(architecture),
    windows: readWindows(architecture, config),
    tiedEmbeddings: config.tie_word_embeddings ?? false,
    ...(mixture && { mixture }),
  };
  checkHeads(spec);
  return spec;
}

function queryKeyNormOf(architecture: Architecture): ModelSpec["queryKeyNorm"] {
  if (architecture === "olmoe") return "row";
  return architecture.startsWith("qwen3") ? "head" : "none";
}

function findArchitecture(names: readonly string[]): Architecture {
  const name = names.find((name) => Object.hasOwn(architectures, name));
  if (name !== undefined) return architectures[name]!;
  const known = Object.keys(architectures).join(", ");
  throw new KernelError(
    "Unsupported",
    `Cannot serve architectures (known: ${known}): ${quote(names)}`,
  );
}

function refuseUnsupported(config: Config): void {
  const partial = config.rope_parameters?.partial_rotary_factor ?? config.partial_rotary_factor;
  refuse("hidden_act", config.hidden_act, ["silu", "swish"]);
  refuse("mlp_bias", config.mlp_bias ?? false, [false]);
  refuse("partial_rotary_factor", partial ?? 1, [1]);
}

function refuse(field: string, value: unknown, served: readonly unknown[]): void {
  if (served.includes(value)) return;
  const known = served.join(", ");
  throw new KernelError("Unsupported", `Cannot serve ${field} (known: ${known}): ${quote(value)}`);
}

/** Qwen2-MoE's rule is that of Hugging Face: even layers below `max_window_layers`. */
function readWindows(architecture: Architecture, config: Config): (number | undefined)[] {
  const { num_hidden_layers: layers, layer_types: types } = config;
  const window = windowOf(architecture, config);
  if (types && types.length !== layers) {
    throw new KernelError(
      "InvalidModel",
      `Cannot read layer_types of config.json for ${layers} layers: ${types.length} entries`,
    );
  }
  const from = config.max_window_layers ?? 28;
  const slides = (layer: number): boolean => {
    if (architecture === "mistral" || architecture === "mixtral") return true;
    if (architecture === "qwen3_moe") return true;
    if (types) return types[layer] === "sliding_attention";
    return architecture === "qwen2_moe" ? layer % 2 === 0 && layer < from : layer >= from;
  };
  return Array.from({ length: layers }, (_, layer) => slides(layer) ? window : undefined);
}

function windowOf(architecture: Architecture, config: Config): number | undefined {
  if (architecture === "llama" || architecture === "olmoe") return undefined;
  if (architecture.startsWith("qwen") && !config.use_sliding_window) return undefined;
  const fallback = architecture === "mixtral" ? null : 4096;
  const window = config.sliding_window === undefined ? fallback : config.sliding_window;
  return window || undefined;
}

function readMixture(architecture: Architecture, config: Config): MixtureSpec | undefined {
  if (architecture === "mixtral") {
    const experts = config.num_local_experts ?? config.num_experts ?? 8;
    return {
      experts,
      topK: checkTopK(config.num_experts_per_tok ?? 2, experts),
      ffn: config.intermediate_size,
      normalise: true,
      sharedFfn: 0,
      layers: Array.from({ length: config.num_hidden_layers }, () => true),
    };
  }
  return architecture.endsWith("moe") ? readQwenMixture(architecture, config) : undefined;
}

function readQwenMixture(architecture: Architecture, config: Config): MixtureSpec | undefined {
  const experts = config.num_experts ?? config.num_local_experts ?? required(config, "num_experts");
  if (experts === 0) return undefined;
  const dense = new Set(config.mlp_only_layers ?? []);
  const step = config.decoder_sparse_step ?? 1;
  const hasShared = architecture === "qwen2_moe";
  return {
    experts,
    topK: checkTopK(required(config, "num_experts_per_tok"), experts),
    ffn: architecture === "olmoe"
      ? config.moe_intermediate_size ?? config.intermediate_size
      : required(config, "moe_intermediate_size"),
    normalise: config.norm_topk_prob ?? false,
    sharedFfn: hasShared ? required(config, "shared_expert_intermediate_size") : 0,
    layers: Array.from(
      { length: config.num_hidden_layers },
      (_, layer) => !dense.has(layer) && (layer + 1) % step === 0,
    ),
  };
}

function checkTopK(topK: number, experts: number): number {
  if (topK <= experts) return topK;
  throw new KernelError(
    "InvalidModel",
    `Cannot choose num_experts_per_tok among ${experts} experts: ${topK}`,
  );
}

function checkHeads({ heads, kvHeads, headDim }: ModelSpec): void {
  if (heads % kvHeads !== 0) {
    throw new KernelError(
      "InvalidModel",
      `Cannot share num_key_value_heads ${kvHeads} among num_attention_heads: ${heads}`,
    );
  }
  if (headDim < 2 || headDim % 2 !== 0) {
    throw new KernelError(
      "InvalidModel",
      `Cannot rotate heads whose head_dim is odd or zero: ${headDim}`,
    );
  }
}
