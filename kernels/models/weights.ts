/** The weights of a layer, stacked as the graphs want them. */
import type { ExpertWeights, Tensor } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { ModelSpec } from "./spec.ts";
import type { WeightLoader } from "./weight_loader.ts";

/** Weights of one layer. */
export interface LayerWeights {
  readonly attentionNorm: Tensor;
  /** All query, key and value heads: one matrix, or three when they are stored differently. */
  readonly qkv: readonly Projection[];
  readonly qNorm?: Tensor;
  readonly kNorm?: Tensor;
  readonly output: Tensor;
  readonly outputBias?: Tensor;
  readonly mlpNorm: Tensor;
  readonly mlp: DenseWeights | MixtureWeights;
}

/** Rows of a projection that share a matrix, and where their results go. */
export interface Projection {
  /** `[n, dim]`. */
  readonly weight: Tensor;
  /** f32 `[n]`. */
  readonly bias?: Tensor;
  /** First column of the result. */
  readonly column: number;
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

/** The indices of a range. */
export function indicesOf({ first, count }: Range): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** Loads one layer with the experts in `experts` (`undefined` = held elsewhere). */
export function loadLayer(
  loader: WeightLoader,
  spec: ModelSpec,
  layer: number,
  experts: Range | undefined,
): LayerWeights {
  const { dim, heads, kvHeads, headDim } = spec;
  const normed = (count: number) => spec.queryKeyNorm === "row" ? count * headDim : headDim;
  const at = `model.layers.${layer}`;
  const attention = `${at}.self_attn`;
  const vector = (name: string, length: number) => loader.vector(name, [{ name, shape: [length] }]);
  return {
    attentionNorm: vector(`${at}.input_layernorm.weight`, dim),
    qkv: loadHeads(loader, spec, attention),
    ...(spec.queryKeyNorm !== "none" && {
      qNorm: vector(`${attention}.q_norm.weight`, normed(heads)),
      kNorm: vector(`${attention}.k_norm.weight`, normed(kvHeads)),
    }),
    output: loader.matrix(`${attention}.o_proj.weight`, dim, heads * headDim),
    ...(spec.outputBias && { outputBias: vector(`${attention}.o_proj.bias`, dim) }),
    mlpNorm: vector(`${at}.post_attention_layernorm.weight`, dim),
    mlp: spec.mixture?.layers[layer]
      ? loadMixture(loader, spec, layer, experts)
      : loadDense(loader, `${at}.mlp`, dim, spec.ffn),
  };
}

function loadHeads(loader: WeightLoader, spec: ModelSpec, attention: string): Projection[] {
  const { dim, heads, kvHeads, headDim } = spec;
  const rows = { q: heads * headDim, k: kvHeads * headDim, v: kvHeads * headDim };
  const parts = Object.entries(rows).map(([head, n]) => ({
    weight: { name: `${attention}.${head}_proj.weight`, shape: [n, dim] },
    bias: { name: `${attention}.${head}_proj.bias`, shape: [n] },
  }));
  const alike = loader.storedAlike(parts.map(({ weight }) => weight));
  let column = 0;
  return (alike ? [parts] : parts.map((part) => [part])).map((group) => {
    const n = group.reduce((sum, { bias }) => sum + bias.shape[0]!, 0);
    const weights = group.map(({ weight }) => weight);
    const weight = loader.stack(`${attention}.qkv`, weights, [n, dim]);
    const biases = group.map(({ bias }) => bias);
    const bias = spec.qkvBias && loader.vector(`${attention}.qkv.bias`, biases);
    column += n;
    return { weight, column: column - n, ...(bias && { bias }) };
  });
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
    ...(experts && experts.count > 0 && {
      experts: loadExperts(loader, spec, layer, indicesOf(experts), experts.first),
    }),
    ...(mixture.sharedFfn > 0 && {
      shared: {
        ...loadDense(loader, shared, dim, mixture.sharedFfn),
        gate: loader.matrix(`${at}.shared_expert_gate.weight`, 1, dim),
      },
    }),
  };
}

/** Loads some experts of one layer, in the order of `indices`; those of the result count from `first`. */
export function loadExperts(
  loader: WeightLoader,
  spec: ModelSpec,
  layer: number,
  indices: readonly number[],
  first: number,
): ExpertWeights {
  const { dim } = spec;
  const { ffn, experts } = spec.mixture!;
  const count = indices.length;
  const stranger = indices.find((e) => !Number.isInteger(e) || e < 0 || e >= experts);
  if (count === 0 || stranger !== undefined) {
    throw new KernelError(
      "InvalidArgument",
      `Cannot hold experts outside 0-${experts - 1}: ${stranger ?? "none"}`,
    );
  }
  const at = `${mixtureName(spec, layer)}.experts`;
  const names = spec.architecture === "mixtral"
    ? { gate: "w1", up: "w3", down: "w2" }
    : { gate: "gate_proj", up: "up_proj", down: "down_proj" };
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
