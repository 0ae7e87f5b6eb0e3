/** The schema of a `config.json` in Hugging Face form. */
import { z } from "zod";
import { KernelError } from "../errors.ts";
import { quote } from "../quote.ts";

const MAX_EXPERTS = 4096;

const size = z.number().int().min(1).max(2 ** 24);
const optionalSize = size.nullish();
const optionalSizeOrZero = z.number().int().min(0).max(2 ** 24).nullish();
const experts = z.number().int().min(0).max(MAX_EXPERTS).nullish();
const scale = z.number().min(1e-3).max(1e12);
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.number())]);

const scalingSchema = z.object({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: scale.optional(),
  factor: scale.optional(),
  low_freq_factor: scale.optional(),
  high_freq_factor: scale.optional(),
  original_max_position_embeddings: size.optional(),
  partial_rotary_factor: z.number().nullish(),
}).catchall(scalar);

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
  rms_norm_eps: z.number().positive().max(1).optional(),
  rope_theta: scale.optional(),
  rope_scaling: scalingSchema.nullish(),
  rope_parameters: scalingSchema.nullish(),
  partial_rotary_factor: z.number().nullish(),
  hidden_act: z.string().default("silu"),
  attention_bias: z.boolean().nullish(),
  qkv_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: optionalSizeOrZero,
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  num_local_experts: experts,
  num_experts: experts,
  num_experts_per_tok: optionalSize,
  moe_intermediate_size: optionalSize,
  shared_expert_intermediate_size: optionalSizeOrZero,
  norm_topk_prob: z.boolean().nullish(),
  decoder_sparse_step: optionalSize,
  mlp_only_layers: z.array(z.number().int()).nullish(),
});

/** A checked `config.json`, reduced to the fields that are read. */
export type Config = z.infer<typeof configSchema>;

/** Checks types and bounds. Throws `InvalidModel`, naming the first wrong field and its value. */
export function readConfig(json: unknown): Config {
  const result = configSchema.safeParse(json);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const found = path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown>)?.[key],
    json,
  );
  const field = path.map((key) => quote(key).replaceAll('"', "")).join(".");
  if (path.length > 0 && found === undefined) throw missing(field);
  const complaint = message.replace(/^Invalid input: /, "");
  const where = field === "" ? "config.json" : `${field} of config.json`;
  throw new KernelError("InvalidModel", `Cannot read ${where} (${complaint}): ${quote(found)}`);
}

/** A field that this architecture cannot do without. */
export function required<K extends keyof Config>(
  config: Config,
  field: K,
): NonNullable<Config[K]> {
  const value = config[field];
  if (value === undefined || value === null) throw missing(field);
  return value;
}

function missing(field: string): KernelError {
  return new KernelError("InvalidModel", `Cannot find field of config.json: ${field}`);
}
