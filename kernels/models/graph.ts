/** The graphs of all model lines, written once as recorded operations. */
import type { AttentionShape, KvCache, Recorder, Tensor } from "../backend.ts";
import type { Activations } from "./activations.ts";
import type { ModelSpec } from "./spec.ts";
import type { DenseWeights, LayerWeights, MixtureWeights } from "./weights.ts";

/** What every layer of a partition records with. */
export interface LayerContext {
  readonly spec: ModelSpec;
  readonly cache: KvCache;
  readonly rotaryTable: Tensor;
  readonly activations: Activations;
}

/** Attention block: `x += output(attention(norm(x)))`. `cacheLayer` counts from the partition's first layer. */
export function recordAttention(
  r: Recorder,
  { spec, cache, rotaryTable, activations: a }: LayerContext,
  w: LayerWeights,
  layer: number,
  cacheLayer: number,
): void {
  const window = spec.windows[layer];
  const shape: AttentionShape = {
    heads: spec.heads,
    kvHeads: spec.kvHeads,
    headDim: spec.headDim,
    ...(window !== undefined && { window }),
  };
  const rotary = {
    table: rotaryTable,
    eps: spec.eps,
    ...(w.qNorm && { qNorm: w.qNorm }),
    ...(w.kNorm && { kNorm: w.kNorm }),
  };
  r.rmsNorm(a.normed, a.x, w.attentionNorm, spec.eps);
  for (const { weight, ...options } of w.qkv) r.linear(a.qkv, a.normed, weight, options);
  r.rotateAppend(a.qkv, cache, cacheLayer, shape, rotary, a.placement);
  r.attention(a.attended, a.qkv, cache, cacheLayer, shape, a.placement);
  r.linear(a.x, a.attended, w.output, { add: true, ...(w.outputBias && { bias: w.outputBias }) });
}

/** Feed-forward block: `x += mlp(norm(x))`; of a mixture, the part of it that is held here. */
export function recordFeedForward(
  r: Recorder,
  { spec, activations: a }: LayerContext,
  w: LayerWeights,
): void {
  r.rmsNorm(a.normed, a.x, w.mlpNorm, spec.eps);
  if (w.mlp.kind === "dense") recordDense(r, a.x, a.normed, a.hidden, w.mlp);
  else recordMixture(r, a, w.mlp, spec.mixture!.normalise);
}

function recordDense(r: Recorder, out: Tensor, x: Tensor, hidden: Tensor, w: DenseWeights): void {
  r.swiglu(hidden, x, w.gateUp);
  r.linear(out, hidden, w.down, { add: true });
}

function recordMixture(r: Recorder, a: Activations, w: MixtureWeights, normalise: boolean): void {
  r.route(a.choice!, a.normed, w.router, { normalise });
  if (w.experts) r.experts(a.x, a.normed, a.choice!, w.experts);
  if (!w.shared || !a.shared) return;
  r.linear(a.shared.gate, a.normed, w.shared.gate);
  r.swiglu(a.shared.hidden, a.normed, w.shared.gateUp);
  r.linear(a.shared.out, a.shared.hidden, w.shared.down);
  r.addGated(a.x, a.shared.out, a.shared.gate);
}

/** Head of the last partition: logits of the sampled rows, tokens and their confidence statistics. */
export function recordHead(
  r: Recorder,
  { spec, activations: a }: Pick<LayerContext, "spec" | "activations">,
  norm: Tensor,
  head: Tensor,
): void {
  r.gather(a.last, a.x, a.indices);
  r.rmsNorm(a.last, a.last, norm, spec.eps);
  r.linear(a.logits, a.last, head);
  r.sample(a.outputs, a.logits, a.inputs);
}
