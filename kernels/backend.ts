/**
 * The one compute interface: a backend allocates tensors, loads bytes into them, *records* operations
 * into a program, runs it and reads results back. Model code is written once against it.
 *
 * A program is recorded once for a model partition, with the row counts left open: an activation has a
 * capacity and a {@link Rows} name, and each run says how many rows of that name are live.
 */

/**
 * How weights may be stored: floats, or blocks of small integers with scales in the layouts of ggml (of 32
 * elements for `q8_0` and `q4_0`, of 256 for `q4_k` and `q6_k`; rows are whole blocks). Activations are always
 * `f32`, ids and positions `i32`.
 */
export type WeightDType = "f32" | "f16" | "bf16" | "q8_0" | "q4_0" | "q4_k" | "q6_k";

/** Every dtype a tensor may have. */
export type DType = WeightDType | "i32";

/** The row counts that a run binds: tokens of the step, and rows whose next token is wanted. */
export type Rows = "tokens" | "samples";

/** How many rows of each kind are live in one run; each at most its capacity. */
export interface Counts extends Readonly<Record<Rows, number>> {
  /** Whether no two of the tokens are of one sequence, as where all are decoded; absent = not known. */
  readonly distinct?: boolean;
  /** Whether all of the tokens are of one sequence, as where a prompt is taken in alone; absent = not known. */
  readonly oneSequence?: boolean;
  /** The most positions that one of the tokens sees, without windows; absent = not known. */
  readonly context?: number;
}

/** A handle of device memory, row-major. Only the backend that made it can read it. */
export interface Tensor {
  /** Its name in messages. */
  readonly label: string;
  /** Type of its elements as loaded and read. */
  readonly dtype: DType;
  /** For an activation, `shape[0]` is its capacity in rows. */
  readonly shape: readonly number[];
  /** Bytes of all its elements in that type. */
  readonly byteLength: number;
  /** Which count says how many leading rows are live; absent for weights and tables. */
  readonly rows?: Rows;
}

/** What to allocate. */
export interface TensorSpec {
  /** Its name in messages. */
  readonly label: string;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Sizes, outermost first; `shape[0]` is the capacity of an activation. */
  readonly shape: readonly number[];
  /** Which count says how many leading rows are live; absent = all are. */
  readonly rows?: Rows;
}

/** The paged KV cache of a range of layers. Its layout inside a page is the backend's own. */
export interface KvCache {
  /** The sizes that it was made with. */
  readonly spec: KvCacheSpec;
  /** Bytes of device memory that it takes. */
  readonly byteLength: number;
}

/**
 * How keys and values may be stored: `int8` as {@link KV_BLOCK} integers of a head at a time, with the f32 scale that
 * makes the largest of them 127.
 */
export type KvDType = "f32" | "f16" | "int8";

/** Elements of a head that share a scale in an `int8` cache; the last block of a head may have fewer. */
export const KV_BLOCK = 32;

/** Sizes of a paged KV cache. */
export interface KvCacheSpec {
  /** Layers that share the page tables. */
  readonly layers: number;
  /** Physical pages a layer. */
  readonly pages: number;
  /** Tokens a page. */
  readonly pageSize: number;
  /** Heads of keys, and of values. */
  readonly kvHeads: number;
  /** Elements a head. */
  readonly headDim: number;
  /** How keys and values are stored. */
  readonly dtype: KvDType;
}

/** Where each token of a step belongs. Written by the host before a run. */
export interface Placement {
  /** i32 `[tokens]`: position of the token in its sequence, from 0. */
  readonly positions: Tensor;
  /** i32 `[tokens]`: row of `pages` that holds the sequence's page table. */
  readonly sequences: Tensor;
  /** i32 `[maxSequences, maxPages]`: physical page of each logical page of a sequence. */
  readonly pages: Tensor;
}

/** Sizes of the attention of one layer. */
export interface AttentionShape {
  /** Query heads, a multiple of `kvHeads`. */
  readonly heads: number;
  /** Heads of keys, and of values. */
  readonly kvHeads: number;
  /** Elements a head. */
  readonly headDim: number;
  /** Tokens that a query sees, itself included; absent = all before it. */
  readonly window?: number;
}

/** Options of {@link Recorder.linear}. */
export interface LinearOptions {
  /** f32 `[n]`, added to each row. */
  readonly bias?: Tensor;
  /** Adds to `out` instead of overwriting it (the residual stream). */
  readonly add?: boolean;
  /** First column of `out` to write; then `out` may be wider than the product. */
  readonly column?: number;
}

/** Rotary embedding and the optional per-head norms that precede it (Qwen3). */
export interface RotaryWeights {
  /** f32 `[maxPositions, headDim]`: cosines of the `headDim/2` frequencies, then their sines. */
  readonly table: Tensor;
  /**
   * f32 `[headDim]`: RMSNorm weights of every query head, applied before the rotation; or `[heads * headDim]`:
   * of all query heads as one row.
   */
  readonly qNorm?: Tensor;
  /** The same of keys; of every head, or of all, as `qNorm`. */
  readonly kNorm?: Tensor;
  /** Added to the mean square by both norms. */
  readonly eps: number;
}

/** The experts chosen for each token. */
export interface ExpertChoice {
  /** i32 `[tokens, topK]`. */
  readonly experts: Tensor;
  /** f32 `[tokens, topK]`. */
  readonly weights: Tensor;
}

/** Some experts of one layer: those with indices `first` to `first + count - 1`. */
export interface ExpertWeights {
  /** Index of the first expert among all of the layer. */
  readonly first: number;
  /** How many experts. */
  readonly count: number;
  /** `[count, 2 * ffn, dim]`: gate rows, then up rows, of each expert. */
  readonly gateUp: Tensor;
  /** `[count, dim, ffn]`. */
  readonly down: Tensor;
}

/**
 * What the sampler reads, one row a sample. The order of its steps is that of Hugging Face: penalties,
 * temperature, top-k, top-p, min-p, draw.
 */
export interface SamplerInputs {
  /** f32 `[samples, 8]`: temperature (0 = greedy), top-p, min-p, repetition, presence, frequency, 0, 0. */
  readonly controls: Tensor;
  /**
   * i32 `[samples, 8]`: seed low and high 32 bits, draw index, first history pair, history pairs,
   * top-k (0 = off), number of top log-probabilities wanted (0 to {@link TOP_LOGPROBS}), 0.
   */
  readonly integers: Tensor;
  /**
   * i32 `[pairs, 2]`: a token that occurred in the prompt or output (repetition penalty), and how often
   * it occurred in the output (presence and frequency penalties). Tokens are distinct within a row's range.
   */
  readonly history: Tensor;
}

/** What the sampler writes, one row a sample. Log-probabilities are of the raw logits, in nats. */
export interface SamplerOutputs {
  /** i32 `[samples]`. */
  readonly tokens: Tensor;
  /**
   * f32 `[samples, 4]`: log-probability of the sampled token; margin (difference between the two highest
   * log-probabilities); entropy; highest log-probability.
   */
  readonly stats: Tensor;
  /** i32 `[samples, TOP_LOGPROBS]`: the most probable tokens, best first; only as many as were wanted. */
  readonly topTokens: Tensor;
  /** f32 `[samples, TOP_LOGPROBS]`. */
  readonly topLogprobs: Tensor;
}

/** The most alternatives a sample can report. */
export const TOP_LOGPROBS = 20;

/**
 * Records operations in order; each sees the results of those before it. Row counts come from the
 * tensors' {@link Rows}. Shapes are checked when recorded and a mismatch throws `KernelError` `InvalidShape`.
 */
export interface Recorder {
  /**
   * `out[t] = table[ids[t]]`; `table` `[vocab, dim]` of any weight dtype, `out` f32 `[tokens, dim]`. With `sampled`,
   * i32 `[samples]`, an id `-1 - s` stands for `sampled[s]`: a token that the host has not seen yet.
   */
  embed(out: Tensor, table: Tensor, ids: Tensor, sampled?: Tensor): void;
  /** `out = x / sqrt(mean(x²) + eps) * weight` over the last dimension; `weight` f32 `[dim]`. */
  rmsNorm(out: Tensor, x: Tensor, weight: Tensor, eps: number): void;
  /** `out = x · weightᵀ`; `x` `[rows, k]`, `weight` `[n, k]`, `out` `[rows, n]` or wider (`column`). */
  linear(out: Tensor, x: Tensor, weight: Tensor, options?: LinearOptions): void;
  /** `out = silu(x · gateᵀ) * (x · upᵀ)`; `gateUp` `[2 * ffn, k]` holds gate rows, then up rows. */
  swiglu(out: Tensor, x: Tensor, gateUp: Tensor): void;
  /**
   * Rotates (half-split pairs `i`, `i + headDim/2`) queries, for the attention that follows, and keys, and
   * appends keys and values of `layer` to the cache. `qkv` f32 `[tokens, (heads + 2 * kvHeads) * headDim]`: q
   * heads, k heads, v heads; what is left in it is for that attention only.
   */
  rotateAppend(
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    rotary: RotaryWeights,
    placement: Placement,
  ): void;
  /**
   * Causal grouped-query attention of every token over its sequence's cached keys and values up to its own
   * position, scaled by `1/sqrt(headDim)`. `out` f32 `[tokens, heads * headDim]`.
   */
  attention(
    out: Tensor,
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    placement: Placement,
  ): void;
  /**
   * Softmax over `x · gateᵀ` (`gate` `[experts, dim]`), then the `topK` highest; their weights are divided by
   * their sum when `normalise`. Equal scores go to the lower index.
   */
  route(choice: ExpertChoice, x: Tensor, gate: Tensor, options: { normalise: boolean }): void;
  /** `out += Σ weight · down(silu(gate x) * up x)` over the chosen experts that `experts` holds. */
  experts(out: Tensor, x: Tensor, choice: ExpertChoice, experts: ExpertWeights): void;
  /** `out += x`; same shape. */
  add(out: Tensor, x: Tensor): void;
  /** `out += sigmoid(gate) * x`; `gate` f32 `[tokens, 1]` (the shared expert of Qwen2-MoE). */
  addGated(out: Tensor, x: Tensor, gate: Tensor): void;
  /** Sets every live row of `out` to zero. */
  clear(out: Tensor): void;
  /** `out[s] = x[indices[s]]`; `out` `[samples, dim]`, `x` `[tokens, dim]`, `indices` i32 `[samples]`. */
  gather(out: Tensor, x: Tensor, indices: Tensor): void;
  /** Samples a token for each row of `logits` f32 `[samples, vocab]`, with its confidence statistics. */
  sample(outputs: SamplerOutputs, logits: Tensor, inputs: SamplerInputs): void;
}

/** A recorded program. */
export interface Program {
  /** Its name in messages. */
  readonly label: string;
  /** Operations in it. */
  readonly length: number;
}

/** Options of {@link Backend.record}. */
export interface RecordOptions {
  /**
   * Tensors whose live rows the host reads after each run. A backend may bring them along with the run, so that
   * reading them until the next run costs no further wait. Activations only.
   */
  readonly outputs?: readonly Tensor[];
}

/** Memory of a backend, in bytes. */
export interface MemoryUse {
  /** Bytes allocated. */
  readonly used: number;
  /** Bytes that may be allocated in all. */
  readonly limit: number;
}

/** A compute device as model code sees it. All methods throw `KernelError`. */
export interface Backend {
  /** Which implementation it is. */
  readonly name: "reference" | "wasm" | "webgpu";
  /** What it has allocated, now. */
  readonly memory: MemoryUse;
  /** Allocates a zeroed tensor; `OutOfMemory` names what was asked and what is left. */
  tensor(spec: TensorSpec): Tensor;
  /** Allocates a paged KV cache. */
  kvCache(spec: KvCacheSpec): KvCache;
  /**
   * Fills `[byteOffset, byteOffset + byteLength)` of a weight: `read` is called with windows of device or
   * staging memory, in order, each with its offset from `byteOffset`.
   */
  load(
    tensor: Tensor,
    byteOffset: number,
    byteLength: number,
    read: (into: Uint8Array, offset: number) => void,
  ): void;
  /** Says that a weight is complete; the backend may rearrange it. Later loads of it are refused. */
  seal(tensor: Tensor): void;
  /** Writes host values from `elementOffset` on; dtype must match (`f32` or `i32`). */
  write(tensor: Tensor, values: Float32Array | Int32Array, elementOffset?: number): void;
  /**
   * Copies the first `into.length` elements into `into` (`f32` or `i32`) and returns it; as the last run left them,
   * or, of a program's output, that of index `run` among runs in a row.
   */
  read<T extends Float32Array | Int32Array>(tensor: Tensor, into: T, run?: number): Promise<T>;
  /** Records a program; `build` is called once, at once. */
  record(label: string, build: (recorder: Recorder) => void, options?: RecordOptions): Program;
  /** Runs a program with the given live rows. Runs of one backend do not overlap. */
  run(program: Program, counts: Counts): Promise<void>;
  /**
   * Runs a program once for each of `counts`, all with as many live rows, and waits once; before each run from the
   * second on, `before` is called with its index and writes what it reads. Absent where a wait costs nothing.
   */
  runInRow?(
    program: Program,
    counts: readonly Counts[],
    before: (run: number) => void,
  ): Promise<void>;
  /** Frees everything; later calls throw `Closed`. */
  close(): void;
}
