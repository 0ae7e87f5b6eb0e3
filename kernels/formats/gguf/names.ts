/** Hugging Face names and places of the tensors of a GGUF model. */
import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";
import type { TensorInfo } from "../weight_source.ts";
import type { GgufTensor } from "./header.ts";

const MAX_EXPERTS = 4096;
const MAX_NAMES = 1 << 20;

/** A Hugging Face tensor and where its bytes lie. */
export interface TensorView extends TensorInfo {
  /** Index of the part that holds it. */
  readonly part: number;
  /** First byte in the part's file. */
  readonly begin: number;
  /** Heads whose rows are stored as interleaved rotary pairs; absent: rows as they are. */
  readonly interleavedHeads?: number;
}

/** What the names of a model depend on. */
export interface Naming {
  /** Query heads and key-value heads, when their rows are stored as interleaved rotary pairs. */
  readonly interleaved?: { readonly heads: number; readonly kvHeads: number };
  /** Names of a mixture of experts. */
  readonly mixture: { readonly block: string } & Readonly<Record<"gate" | "up" | "down", string>>;
}

const outer: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

const inner: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
  ffn_gate_shexp: "mlp.shared_expert.gate_proj",
  ffn_up_shexp: "mlp.shared_expert.up_proj",
  ffn_down_shexp: "mlp.shared_expert.down_proj",
  ffn_gate_inp_shexp: "mlp.shared_expert_gate",
};

/** Rotary factors are part of the configuration here, not a tensor. */
const ROTARY = "rope_freqs.weight";
const LAYER = /^blk\.(0|[1-9]\d{0,3})\.([a-z_]+)(?:\.(\d{1,4}))?\.(weight|bias)$/;
const EXPERTS = /^ffn_(gate|up|down)_exps$/;
const EXPERT = /^ffn_(gate|up|down)$/;

/**
 * Maps the tensors of all parts onto Hugging Face names: experts one by one, in file order. Tensors that the
 * model lines here do not have keep their names. Throws {@link FormatError} `Mismatch`.
 */
export function nameTensors(
  parts: readonly ReadonlyMap<string, GgufTensor>[],
  naming: Naming,
  file: string,
): Map<string, TensorView> {
  const views = new Map<string, TensorView>();
  for (const [part, tensors] of parts.entries()) {
    for (const [name, tensor] of tensors) {
      if (name === ROTARY) continue;
      for (const [hfName, view] of viewsOf(name, { ...tensor, part }, naming, file)) {
        if (views.has(hfName)) throw mismatch(file, name, `${hfName} is there twice`);
        if (views.size === MAX_NAMES) throw mismatch(file, name, `more than ${MAX_NAMES} tensors`);
        views.set(hfName, view);
      }
    }
  }
  return views;
}

function viewsOf(
  name: string,
  tensor: TensorView,
  naming: Naming,
  file: string,
): [string, TensorView][] {
  if (Object.hasOwn(outer, name)) return [[outer[name]!, tensor]];
  const [, layer, kind, expert, suffix] = LAYER.exec(name) ?? [];
  if (layer === undefined || kind === undefined) return [[name, tensor]];
  const at = (rest: string) => `model.layers.${layer}.${rest}.${suffix}`;
  const ofExpert = (matrix: string, index: number) =>
    at(`${naming.mixture.block}.experts.${index}.${naming.mixture[matrix as "gate"]}`);
  const stacked = EXPERTS.exec(kind)?.[1];
  if (stacked !== undefined) {
    return sliceExperts(tensor, name, file).map((view, e) => [ofExpert(stacked, e), view]);
  }
  const single = EXPERT.exec(kind)?.[1];
  if (expert !== undefined) {
    return [[single === undefined ? name : ofExpert(single, Number(expert)), tensor]];
  }
  if (kind === "ffn_gate_inp") return [[at(`${naming.mixture.block}.gate`), tensor]];
  if (!Object.hasOwn(inner, kind)) return [[name, tensor]];
  return [[at(inner[kind]!), reshape(kind, tensor, name, naming, file)]];
}

/** The layout of Hugging Face: the shared expert's gate is a matrix of one row. */
function reshape(
  kind: string,
  tensor: TensorView,
  name: string,
  { interleaved }: Naming,
  file: string,
): TensorView {
  if (kind === "ffn_gate_inp_shexp" && tensor.shape.length === 1) {
    return { ...tensor, shape: [1, ...tensor.shape] };
  }
  if (interleaved === undefined || (kind !== "attn_q" && kind !== "attn_k")) return tensor;
  const heads = kind === "attn_q" ? interleaved.heads : interleaved.kvHeads;
  const [rows] = tensor.shape;
  if (rows! % (2 * heads) === 0) return { ...tensor, interleavedHeads: heads };
  throw mismatch(file, name, `${rows} rows are not pairs of ${heads} heads`);
}

function sliceExperts(tensor: TensorView, name: string, file: string): TensorView[] {
  const [experts, ...shape] = tensor.shape;
  if (experts! > MAX_EXPERTS || shape.length !== 2) {
    throw mismatch(file, name, `shape ${quote(tensor.shape)} is not that of stacked experts`);
  }
  const byteLength = tensor.byteLength / experts!;
  return Array.from({ length: experts! }, (_, e) => ({
    ...tensor,
    shape,
    byteLength,
    begin: tensor.begin + e * byteLength,
  }));
}

function mismatch(file: string, name: string, fault: string): FormatError {
  return new FormatError("Mismatch", `Cannot map tensor ${quote(name)} of ${file}: ${fault}`);
}
