/** What a `config.json` says, reduced to the facts that a graph needs. */
import { z } from "zod";
import { KernelError } from "../errors.ts";

/** Frequencies of the rotary embedding, as in Hugging Face's `rope_scaling`. */
export type RotaryScaling =
  | { readonly kind: "default" }
  | { readonly kind: "linear"; readonly factor: number }
  | {
    readonly kind: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalPositions: number;
  };

/** The mixture-of-experts part of a model. */
export interface MixtureSpec {
  readonly experts: number;
  readonly topK: number;
  /** Hidden width of one expert. */
  readonly ffn: number;
  /** Whether the weights of the chosen experts are divided by their sum. */
  readonly normalise: boolean;
  /** Hidden width of the shared expert; 0 = none. */
  readonly sharedFfn: number;
  /** Which layers are sparse. */
  readonly layers: readonly boolean[];
}

/** A decoder-only transformer of the Llama line. */
export interface ModelSpec {
  readonly architecture: Architecture;
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Hidden width of a dense feed-forward. */
  readonly ffn: number;
  readonly vocab: number;
  readonly maxPositions: number;
  readonly eps: number;
  readonly theta: number;
  readonly scaling: RotaryScaling;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  /** RMSNorm on every query and key head. */
  readonly headNorm: boolean;
  /** Sliding window of each layer; `undefined` = full attention. */
  readonly windows: readonly (number | undefined)[];
  readonly tiedEmbeddings: boolean;
  readonly mixture?: MixtureSpec;
}

const architectures = {
  LlamaForCausalLM: "llama",
  MistralForCausalLM: "mistral",
  Qwen2ForCausalLM: "qwen2",
  Qwen3ForCausalLM: "qwen3",
  MixtralForCausalLM: "mixtral",
  Qwen2MoeForCausalLM: "qwen2_moe",
  Qwen3MoeForCausalLM: "qwen3_moe",
} as const;

/** The model lines that the graphs cover. */
export type Architecture = typeof architectures[keyof typeof architectures];

const size = z.number().int().min(1).max(2 ** 24);
const optionalSize = size.nullish();
const positive = z.number().positive().finite();

const scalingSchema = z.object({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.optional(),
  factor: positive.optional(),
  low_freq_factor: positive.optional(),
  high_freq_factor: positive.optional(),
  original_max_position_embeddings: size.optional(),
});

const configSchema = z.object({
  architectures: z.array(z.string()).min(1),
  hidden_size: size,
  num_hidden_layers: z.number().int().min(1).max(1024),
  num_attention_heads: size,
  num_key_value_heads: optionalSize,
  head_dim: optionalSize,
  intermediate_size: size,
  vocab_size: size,
  max_position_embeddings: size,
  rms_norm_eps: z.number().positive().max(1).default(1e-6),
  rope_theta: positive.default(10_000),
  rope_scaling: scalingSchema.nullish(),
  rope_parameters: scalingSchema.nullish(),
  partial_rotary_factor: z.number().nullish(),
  hidden_act: z.string().default("silu"),
  attention_bias: z.boolean().nullish(),
  qkv_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: optionalSize,
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  num_local_experts: optionalSize,
  num_experts: z.number().int().min(0).max(4096).nullish(),
  num_experts_per_tok: optionalSize,
  moe_intermediate_size: optionalSize,
  shared_expert_intermediate_size: z.number().int().min(0).nullish(),
  norm_topk_prob: z.boolean().nullish(),
  decoder_sparse_step: optionalSize,
  mlp_only_layers: z.array(z.number().int()).nullish(),
});

type Config = z.infer<typeof configSchema>;

/** Reads a parsed `config.json`. Throws `InvalidModel` or `Unsupported`, naming the field and its value. */
export function parseModelSpec(json: unknown): ModelSpec {
  const result = configSchema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const field = issue.path.join(".") || "config";
    throw new KernelError(
      "InvalidModel",
      `Cannot read config.json, field ${field}: ${issue.message}`,
    );
  }
  const config = result.data;
  const architecture = findArchitecture(config.architectures);
  refuseUnsupported(config);
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
    eps: config.rms_norm_eps,
    theta: config.rope_parameters?.rope_theta ?? config.rope_theta,
    scaling: readScaling(config),
    qkvBias: hasQkvBias(architecture, config),
    outputBias: architecture === "llama" && config.attention_bias === true,
    headNorm: architecture.startsWith("qwen3"),
    windows: readWindows(architecture, config),
    tiedEmbeddings: config.tie_word_embeddings ?? false,
    ...(mixture && { mixture }),
  };
  checkHeads(spec);
  return spec;
}

function findArchitecture(names: readonly string[]): Architecture {
  for (const name of names) {
    if (Object.hasOwn(architectures, name)) {
      return architectures[name as keyof typeof architectures];
    }
  }
  const known = Object.keys(architectures).join(", ");
  throw new KernelError(
    "Unsupported",
    `Cannot serve architecture (known: ${known}): ${names.join(", ")}`,
  );
}

function refuseUnsupported(config: Config): void {
  if (config.hidden_act !== "silu") {
    throw new KernelError(
      "Unsupported",
      `Cannot serve hidden_act other than silu: ${config.hidden_act}`,
    );
  }
  if (config.mlp_bias) throw new KernelError("Unsupported", "Cannot serve mlp_bias: true");
  if ((config.partial_rotary_factor ?? 1) !== 1) {
    throw new KernelError(
      "Unsupported",
      `Cannot serve partial_rotary_factor: ${config.partial_rotary_factor}`,
    );
  }
}

function hasQkvBias(architecture: Architecture, config: Config): boolean {
  if (architecture === "qwen2") return true;
  if (architecture === "qwen2_moe") return config.qkv_bias ?? true;
  return config.attention_bias ?? false;
}

function readScaling(config: Config): RotaryScaling {
  const scaling = config.rope_parameters ?? config.rope_scaling;
  const kind = scaling?.rope_type ?? scaling?.type ?? "default";
  if (!scaling || kind === "default") return { kind: "default" };
  const required = (name: keyof typeof scaling): number => {
    const value = scaling[name];
    if (typeof value === "number") return value;
    throw new KernelError(
      "InvalidModel",
      `Cannot read rope_scaling of type ${kind} without: ${name}`,
    );
  };
  if (kind === "linear") return { kind, factor: required("factor") };
  if (kind === "llama3") {
    return {
      kind,
      factor: required("factor"),
      lowFrequencyFactor: required("low_freq_factor"),
      highFrequencyFactor: required("high_freq_factor"),
      originalPositions: required("original_max_position_embeddings"),
    };
  }
  throw new KernelError(
    "Unsupported",
    `Cannot serve rope_scaling (known: default, linear, llama3): ${kind}`,
  );
}

function readWindows(architecture: Architecture, config: Config): (number | undefined)[] {
  const window = config.sliding_window ?? undefined;
  const isQwen = architecture.startsWith("qwen");
  const from = config.max_window_layers ?? 0;
  return Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    const type = config.layer_types?.[layer];
    if (type !== undefined) return type === "sliding_attention" ? window : undefined;
    if (isQwen) return config.use_sliding_window && layer >= from ? window : undefined;
    return architecture === "llama" ? undefined : window;
  });
}

function readMixture(architecture: Architecture, config: Config): MixtureSpec | undefined {
  if (architecture === "mixtral") {
    return {
      experts: config.num_local_experts ?? 8,
      topK: topKOf(config, config.num_local_experts ?? 8),
      ffn: config.intermediate_size,
      normalise: true,
      sharedFfn: 0,
      layers: Array.from({ length: config.num_hidden_layers }, () => true),
    };
  }
  const experts = config.num_experts ?? 0;
  if (!architecture.endsWith("_moe") || experts === 0) return undefined;
  const dense = new Set(config.mlp_only_layers ?? []);
  const step = config.decoder_sparse_step ?? 1;
  return {
    experts,
    topK: topKOf(config, experts),
    ffn: config.moe_intermediate_size ?? config.intermediate_size,
    normalise: config.norm_topk_prob ?? false,
    sharedFfn: architecture === "qwen2_moe" ? config.shared_expert_intermediate_size ?? 0 : 0,
    layers: Array.from(
      { length: config.num_hidden_layers },
      (_, layer) => !dense.has(layer) && (layer + 1) % step === 0,
    ),
  };
}

function topKOf(config: Config, experts: number): number {
  const topK = config.num_experts_per_tok ?? 2;
  if (topK <= experts) return topK;
  throw new KernelError("InvalidModel", `Cannot choose more experts than ${experts}: ${topK}`);
}

function checkHeads({ heads, kvHeads, headDim, windows, layers }: ModelSpec): void {
  if (heads % kvHeads !== 0) {
    throw new KernelError(
      "InvalidModel",
      `Cannot share ${kvHeads} key-value heads among heads: ${heads}`,
    );
  }
  if (headDim < 2 || headDim % 2 !== 0) {
    throw new KernelError("InvalidModel", `Cannot rotate heads of odd or zero width: ${headDim}`);
  }
  if (windows.length !== layers) {
    throw new KernelError("InvalidModel", `Cannot read attention windows of ${layers} layers`);
  }
}
