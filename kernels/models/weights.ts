/** The weights of a layer, stacked as the graphs want them. */
import type { ExpertWeights, Tensor } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { ModelSpec } from "./spec.ts";
import type { Part, WeightLoader } from "./weight_loader.ts";

/** Weights of one layer. */
export interface LayerWeights {
  readonly attentionNorm: Tensor;
  /** `[(heads + 2 * kvHeads) * headDim, dim]`. */
  readonly qkv: Tensor;
  readonly qkvBias?: Tensor;
  readonly qNorm?: Tensor;
  readonly kNorm?: Tensor;
  readonly output: Tensor;
  readonly outputBias?: Tensor;
  readonly mlpNorm: Tensor;
  readonly mlp: DenseWeights | MixtureWeights;
}

/** A dense gated feed-forward. */
export interface DenseWeights {
  readonly kind: "dense";
  readonly gateUp: Tensor;
  readonly down: Tensor;
}

/** A router with the experts that this partition holds. */
export interface MixtureWeights {
  readonly kind: "mixture";
  readonly router: Tensor;
  readonly experts?: ExpertWeights;
  readonly shared?: DenseWeights & { readonly gate: Tensor };
}

/** A contiguous range. */
export interface Range {
  /** Its first index. */
  readonly first: number;
  /** How many indices. */
  readonly count: number;
}

/** Loads one layer with the experts in `experts` (`undefined` = held elsewhere). */
export function loadLayer(
  loader: WeightLoader,
  spec: ModelSpec,
  layer: number,
  experts: Range | undefined,
): LayerWeights {
  const { dim, heads, kvHeads, headDim } = spec;
  const at = `model.layers.${layer}`;
  const attention = `${at}.self_attn`;
  const widths = { q: heads * headDim, k: kvHeads * headDim, v: kvHeads * headDim };
  const each = (suffix: string, shape: (rows: number) => number[]): Part[] =>
    Object.entries(widths).map(([head, rows]) => ({
      name: `${attention}.${head}_proj.${suffix}`,
      shape: shape(rows),
    }));
  const vector = (name: string, length: number) => loader.vector(name, [{ name, shape: [length] }]);
  return {
    attentionNorm: vector(`${at}.input_layernorm.weight`, dim),
    qkv: loader.stack(`${attention}.qkv`, each("weight", (rows) => [rows, dim]), [
      widths.q + widths.k + widths.v,
      dim,
    ]),
    ...(spec.qkvBias &&
      { qkvBias: loader.vector(`${attention}.qkv.bias`, each("bias", (n) => [n])) }),
    ...(spec.headNorm && {
      qNorm: vector(`${attention}.q_norm.weight`, headDim),
      kNorm: vector(`${attention}.k_norm.weight`, headDim),
    }),
    output: loader.matrix(`${attention}.o_proj.weight`, dim, widths.q),
    ...(spec.outputBias && { outputBias: vector(`${attention}.o_proj.bias`, dim) }),
    mlpNorm: vector(`${at}.post_attention_layernorm.weight`, dim),
    mlp: spec.mixture?.layers[layer]
      ? loadMixture(loader, spec, layer, experts)
      : loadDense(loader, `${at}.mlp`, dim, spec.ffn),
  };
}

function loadDense(loader: WeightLoader, at: string, dim: number, ffn: number): DenseWeights {
  const parts = ["gate", "up"].map((name) => ({
    name: `${at}.${name}_proj.weight`,
    shape: [ffn, dim],
  }));
  return {
    kind: "dense",
    gateUp: loader.stack(`${at}.gate_up`, parts, [2 * ffn, dim]),
    down: loader.matrix(`${at}.down_proj.weight`, dim, ffn),
  };
}

function loadMixture(
  loader: WeightLoader,
  spec: ModelSpec,
  layer: number,
  experts: Range | undefined,
): MixtureWeights {
  const { dim } = spec;
  const mixture = spec.mixture!;
  const at = mixtureName(spec, layer);
  const shared = `${at}.shared_expert`;
  return {
    kind: "mixture",
    router: loader.matrix(`${at}.gate.weight`, mixture.experts, dim),
    ...(experts && experts.count > 0 && { experts: loadExperts(loader, spec, layer, experts) }),
    ...(mixture.sharedFfn > 0 && {
      shared: {
        ...loadDense(loader, shared, dim, mixture.sharedFfn),
        gate: loader.matrix(`${at}.shared_expert_gate.weight`, 1, dim),
      },
    }),
  };
}

/** Loads some experts of one layer. */
export function loadExperts(
  loader: WeightLoader,
  spec: ModelSpec,
  layer: number,
  { first, count }: Range,
): ExpertWeights {
  const { dim } = spec;
  const { ffn, experts } = spec.mixture!;
  if (first < 0 || count < 1 || first + count > experts) {
    throw new KernelError(
      "InvalidArgument",
      `Cannot hold experts outside 0-${experts - 1}: ${first}+${count}`,
    );
  }
  const at = `${mixtureName(spec, layer)}.experts`;
  const names = spec.architecture === "mixtral"
    ? { gate: "w1", up: "w3", down: "w2" }
    : { gate: "gate_proj", up: "up_proj", down: "down_proj" };
  const indices = Array.from({ length: count }, (_, i) => first + i);
  const part = (expert: number, name: string, shape: number[]) => ({
    name: `${at}.${expert}.${name}.weight`,
    shape,
  });
  const gateUp = indices.flatMap((e) => [
    part(e, names.gate, [ffn, dim]),
    part(e, names.up, [ffn, dim]),
  ]);
  const down = indices.map((e) => part(e, names.down, [dim, ffn]));
  return {
    first,
    count,
    gateUp: loader.stack(`${at}.gate_up`, gateUp, [count, 2 * ffn, dim]),
    down: loader.stack(`${at}.down`, down, [count, dim, ffn]),
  };
}

function mixtureName(spec: ModelSpec, layer: number): string {
  const block = spec.architecture === "mixtral" ? "block_sparse_moe" : "mlp";
  return `model.layers.${layer}.${block}`;
}
