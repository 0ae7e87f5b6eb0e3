/** The graphs of all model lines, written once as recorded operations. */
import type {
  AttentionShape,
  Backend,
  ExpertChoice,
  KvCache,
  Placement,
  Recorder,
  SamplerInputs,
  SamplerOutputs,
  Tensor,
} from "../backend.ts";
import { TOP_LOGPROBS } from "../backend.ts";
import type { ModelSpec } from "./spec.ts";
import type { DenseWeights, LayerWeights, MixtureWeights } from "./weights.ts";

/** Capacities of a partition's step. */
export interface Capacity {
  /** Tokens a step. */
  readonly tokens: number;
  /** Rows sampled a step. */
  readonly samples: number;
  /** Sequences with a page table. */
  readonly sequences: number;
  /** Logical pages of one sequence. */
  readonly sequencePages: number;
  /** Pairs of the penalties' history, all samples together. */
  readonly history: number;
}

/** Tensors that the steps of one partition share. */
export interface Activations {
  readonly ids: Tensor;
  readonly placement: Placement;
  readonly x: Tensor;
  readonly normed: Tensor;
  readonly qkv: Tensor;
  readonly attended: Tensor;
  readonly hidden: Tensor;
  readonly choice?: ExpertChoice;
  readonly shared?: { readonly hidden: Tensor; readonly out: Tensor; readonly gate: Tensor };
  /** Sums of experts held elsewhere, written by the host. */
  readonly remote?: Tensor;
  readonly indices: Tensor;
  readonly last: Tensor;
  readonly logits: Tensor;
  readonly inputs: SamplerInputs;
  readonly outputs: SamplerOutputs;
}

/** Allocates the activations of a partition. */
export function allocateActivations(
  backend: Backend,
  spec: ModelSpec,
  capacity: Capacity,
  ends: { readonly last: boolean; readonly remoteExperts: boolean },
): Activations {
  const { tokens, sequences, sequencePages, history } = capacity;
  const samples = ends.last ? capacity.samples : 1;
  const { dim, heads, kvHeads, headDim, ffn, mixture } = spec;
  const perToken = (label: string, width: number, dtype: "f32" | "i32" = "f32") =>
    backend.tensor({ label, dtype, shape: [tokens, width], rows: "tokens" });
  const perSample = (label: string, width: number, dtype: "f32" | "i32" = "f32") =>
    backend.tensor({ label, dtype, shape: [samples, width], rows: "samples" });
  const ids = (label: string, rows: "tokens" | "samples") =>
    backend.tensor({ label, dtype: "i32", shape: [rows === "tokens" ? tokens : samples], rows });
  return {
    ids: ids("ids", "tokens"),
    placement: {
      positions: ids("positions", "tokens"),
      sequences: ids("sequences", "tokens"),
      pages: backend.tensor({ label: "pages", dtype: "i32", shape: [sequences, sequencePages] }),
    },
    x: perToken("x", dim),
    normed: perToken("normed", dim),
    qkv: perToken("qkv", (heads + 2 * kvHeads) * headDim),
    attended: perToken("attended", heads * headDim),
    hidden: perToken("hidden", ffn),
    ...(mixture && {
      choice: {
        experts: perToken("experts", mixture.topK, "i32"),
        weights: perToken("expert weights", mixture.topK),
      },
    }),
    ...(mixture && mixture.sharedFfn > 0 && {
      shared: {
        hidden: perToken("shared hidden", mixture.sharedFfn),
        out: perToken("shared out", dim),
        gate: perToken("shared gate", 1),
      },
    }),
    ...(ends.remoteExperts && { remote: perToken("remote experts", dim) }),
    indices: ids("sample indices", "samples"),
    last: perSample("last", dim),
    logits: perSample("logits", ends.last ? spec.vocab : 1),
    inputs: {
      controls: perSample("controls", 8),
      integers: perSample("sampler integers", 8, "i32"),
      history: backend.tensor({ label: "history", dtype: "i32", shape: [history, 2] }),
    },
    outputs: {
      tokens: ids("sampled tokens", "samples"),
      stats: perSample("stats", 4),
      topTokens: perSample("top tokens", TOP_LOGPROBS, "i32"),
      topLogprobs: perSample("top logprobs", TOP_LOGPROBS),
    },
  };
}

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
  r.linear(a.qkv, a.normed, w.qkv, w.qkvBias ? { bias: w.qkvBias } : {});
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
