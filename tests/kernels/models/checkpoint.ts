/** Small random checkpoints in Hugging Face form. */
import { type TensorToWrite, writeSafetensors } from "../../../kernels/formats/mod.ts";
import { encode, Random } from "../contract/values.ts";
import type { HubConfig, Tensors } from "./oracle.ts";

/** The dtypes of plain floats, as safetensors hold them. */
export type FloatDType = "f32" | "f16" | "bf16";

/** A checkpoint in memory: as it is written, and as it is meant. */
export interface Checkpoint {
  readonly config: HubConfig;
  readonly tensors: Tensors;
  readonly stored: readonly TensorToWrite[];
}

/** The shapes of all tensors that a model with this configuration has, by name. */
export function tensorShapes(config: HubConfig): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  const { vocab_size: vocab, hidden_size: dim } = config;
  shapes.set("model.embed_tokens.weight", [vocab, dim]);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    addAttention(shapes, config, `model.layers.${layer}`);
    addFeedForward(shapes, config, layer);
  }
  shapes.set("model.norm.weight", [dim]);
  if (!config.tie_word_embeddings) shapes.set("lm_head.weight", [vocab, dim]);
  return shapes;
}

function addAttention(shapes: Map<string, number[]>, config: HubConfig, at: string): void {
  const { hidden_size: dim, num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const headDim = config.head_dim ?? dim / heads;
  const line = config.architectures[0]!;
  const widths = { q: heads * headDim, k: kvHeads * headDim, v: kvHeads * headDim };
  const hasInnerBias = config.attention_bias || config.qkv_bias || line.startsWith("Qwen2For");
  for (const [name, width] of Object.entries(widths)) {
    shapes.set(`${at}.self_attn.${name}_proj.weight`, [width, dim]);
    if (hasInnerBias) shapes.set(`${at}.self_attn.${name}_proj.bias`, [width]);
    if (line.startsWith("Qwen3") && name !== "v") {
      shapes.set(`${at}.self_attn.${name}_norm.weight`, [headDim]);
    }
    if (line.startsWith("Olmoe") && name !== "v") {
      shapes.set(`${at}.self_attn.${name}_norm.weight`, [width]);
    }
  }
  shapes.set(`${at}.self_attn.o_proj.weight`, [dim, widths.q]);
  if (config.attention_bias) shapes.set(`${at}.self_attn.o_proj.bias`, [dim]);
  shapes.set(`${at}.input_layernorm.weight`, [dim]);
  shapes.set(`${at}.post_attention_layernorm.weight`, [dim]);
}

function addFeedForward(shapes: Map<string, number[]>, config: HubConfig, layer: number): void {
  const { hidden_size: dim } = config;
  const at = `model.layers.${layer}`;
  const add = (
    block: string,
    ffn: number,
    [gate, up, down] = ["gate_proj", "up_proj", "down_proj"],
  ) => {
    shapes.set(`${at}.${block}.${gate}.weight`, [ffn, dim]);
    shapes.set(`${at}.${block}.${up}.weight`, [ffn, dim]);
    shapes.set(`${at}.${block}.${down}.weight`, [dim, ffn]);
  };
  const experts = config.num_local_experts ?? config.num_experts ?? 0;
  const isDense = config.mlp_only_layers?.includes(layer) ||
    (layer + 1) % (config.decoder_sparse_step ?? 1) !== 0;
  if (experts === 0 || isDense) return add("mlp", config.intermediate_size);
  const isMixtral = config.num_local_experts !== undefined;
  const block = isMixtral ? "block_sparse_moe" : "mlp";
  const ffn = isMixtral ? config.intermediate_size : config.moe_intermediate_size!;
  shapes.set(`${at}.${block}.gate.weight`, [experts, dim]);
  for (let expert = 0; expert < experts; expert++) {
    add(`${block}.experts.${expert}`, ffn, isMixtral ? ["w1", "w3", "w2"] : undefined);
  }
  if (!config.shared_expert_intermediate_size) return;
  add("mlp.shared_expert", config.shared_expert_intermediate_size);
  shapes.set(`${at}.mlp.shared_expert_gate.weight`, [1, dim]);
}

/** Draws a checkpoint: norms around 1, matrices that keep the size of what passes through them. */
export function randomCheckpoint(config: HubConfig, dtype: FloatDType, seed: number): Checkpoint {
  const random = new Random(seed);
  const tensors = new Map<string, Float32Array>();
  const stored = [...tensorShapes(config)].map(([name, shape]) => {
    const drawn = random.floats(shape.reduce((a, b) => a * b, 1));
    const isNorm = name.endsWith("norm.weight");
    const scale = isNorm ? 0.3 : shape.length === 1 ? 0.5 : 2 / Math.sqrt(shape[1]!);
    const { bytes, values } = encode(dtype, drawn.map((x) => (isNorm ? 1 : 0) + scale * x));
    tensors.set(name, values);
    return { name, dtype, shape, data: bytes };
  });
  return { config, tensors, stored };
}

/** Writes a model folder, in shards of `shardBytes` when given. */
export function writeCheckpoint(
  dir: string,
  { config, stored }: Pick<Checkpoint, "stored"> & { readonly config: object },
  shardBytes?: number,
): void {
  Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(config));
  writeSafetensors(`${dir}/model.safetensors`, stored, shardBytes ? { shardBytes } : {});
}
