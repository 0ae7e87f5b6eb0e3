/** The tensors that the steps of one partition share. */
import type {
  Backend,
  ExpertChoice,
  Placement,
  SamplerInputs,
  SamplerOutputs,
  Tensor,
} from "../backend.ts";
import { TOP_LOGPROBS } from "../backend.ts";
import type { MixtureSpec, ModelSpec } from "./spec.ts";

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

/** What the place of a partition asks of its activations. */
export interface Ends {
  /** Whether it samples. */
  readonly last: boolean;
  /** Whether some of its experts are computed elsewhere. */
  readonly remoteExperts: boolean;
}

/** Allocates the activations of a partition. */
export function allocateActivations(
  backend: Backend,
  spec: ModelSpec,
  capacity: Capacity,
  { last, remoteExperts }: Ends,
): Activations {
  const { tokens, sequences, sequencePages } = capacity;
  const samples = last ? capacity.samples : 1;
  const { dim, heads, kvHeads, headDim, ffn, mixture } = spec;
  const perToken = allocator(backend, "tokens", tokens);
  const perSample = allocator(backend, "samples", samples);
  return {
    ids: perToken("ids", [], "i32"),
    placement: {
      positions: perToken("positions", [], "i32"),
      sequences: perToken("sequences", [], "i32"),
      pages: backend.tensor({ label: "pages", dtype: "i32", shape: [sequences, sequencePages] }),
    },
    x: perToken("x", [dim]),
    normed: perToken("normed", [dim]),
    qkv: perToken("qkv", [(heads + 2 * kvHeads) * headDim]),
    attended: perToken("attended", [heads * headDim]),
    hidden: perToken("hidden", [ffn]),
    ...(mixture && allocateMixture(perToken, mixture, dim)),
    ...(remoteExperts && { remote: perToken("remote experts", [dim]) }),
    indices: perSample("sample indices", [], "i32"),
    last: perSample("last", [dim]),
    logits: perSample("logits", [last ? spec.vocab : 1]),
    ...allocateSampler(backend, perSample, capacity.history),
  };
}

type Allocate = (label: string, width: readonly number[], dtype?: "f32" | "i32") => Tensor;

function allocator(backend: Backend, rows: "tokens" | "samples", capacity: number): Allocate {
  return (label, width, dtype = "f32") =>
    backend.tensor({ label, dtype, shape: [capacity, ...width], rows });
}

function allocateMixture(
  perToken: Allocate,
  { topK, sharedFfn }: MixtureSpec,
  dim: number,
): Pick<Activations, "choice" | "shared"> {
  const choice = {
    experts: perToken("experts", [topK], "i32"),
    weights: perToken("expert weights", [topK]),
  };
  if (sharedFfn === 0) return { choice };
  const shared = {
    hidden: perToken("shared hidden", [sharedFfn]),
    out: perToken("shared out", [dim]),
    gate: perToken("shared gate", [1]),
  };
  return { choice, shared };
}

function allocateSampler(
  backend: Backend,
  perSample: Allocate,
  history: number,
): Pick<Activations, "inputs" | "outputs"> {
  return {
    inputs: {
      controls: perSample("controls", [8]),
      integers: perSample("sampler integers", [8], "i32"),
      history: backend.tensor({ label: "history", dtype: "i32", shape: [history, 2] }),
    },
    outputs: {
      tokens: perSample("sampled tokens", [], "i32"),
      stats: perSample("stats", [4]),
      topTokens: perSample("top tokens", [TOP_LOGPROBS], "i32"),
      topLogprobs: perSample("top logprobs", [TOP_LOGPROBS]),
    },
  };
}
