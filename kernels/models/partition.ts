/** A contiguous range of a model's layers on one device. */
import type { Backend, Counts, KvCache, Program, Tensor } from "../backend.ts";
import { TOP_LOGPROBS } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { WeightSource } from "../formats/mod.ts";
import {
  type Activations,
  allocateActivations,
  type Capacity,
  type LayerContext,
  recordAttention,
  recordFeedForward,
  recordHead,
} from "./graph.ts";
import { rotaryTable } from "./rotary.ts";
import type { ModelSpec } from "./spec.ts";
import { type Step, type StepResult, wantsAlternatives } from "./step.ts";
import {
  type LayerWeights,
  loadLayer,
  type LoadProgress,
  type Range,
  WeightLoader,
} from "./weights.ts";

/** What an expert shard is asked: rows of one layer with the experts chosen for them. */
export interface ExpertRequest {
  readonly layer: number;
  readonly tokens: number;
  /** f32 `[tokens, dim]`: normalised inputs of the feed-forward. */
  readonly x: Float32Array;
  /** i32 `[tokens, topK]`. */
  readonly experts: Int32Array;
  /** f32 `[tokens, topK]`. */
  readonly weights: Float32Array;
}

/** Computes the weighted sum f32 `[tokens, dim]` over the experts that are held elsewhere. */
export type RemoteExperts = (request: ExpertRequest) => Promise<Float32Array>;

/** How to place a partition. */
export interface PartitionOptions {
  readonly layers: Range;
  readonly capacity: Capacity;
  /** Physical pages of the KV cache. */
  readonly pages: number;
  /** Tokens a page. */
  readonly pageSize: number;
  readonly kvDtype?: "f32" | "f16";
  /** Experts of each layer that lie in this partition; default all. */
  readonly localExperts?: Range;
  /** Where the other experts are computed; required unless all are local. */
  readonly remoteExperts?: RemoteExperts;
  readonly progress?: LoadProgress;
}

/** One program, and the layer whose remote experts must be asked after it. */
interface Segment {
  readonly program: Program;
  readonly remoteLayer?: number;
}

/** Bytes of the weights that a partition of these layers reads from the checkpoint. */
export function checkpointBytes(source: WeightSource): number {
  return source.names().reduce((sum, name) => sum + (source.info(name)?.byteLength ?? 0), 0);
}

/** A loaded partition. Steps must not overlap. */
export class ModelPartition {
  readonly #backend: Backend;
  readonly #spec: ModelSpec;
  readonly #options: PartitionOptions;
  readonly #activations: Activations;
  readonly #segments: readonly Segment[];

  private constructor(
    backend: Backend,
    spec: ModelSpec,
    options: PartitionOptions,
    activations: Activations,
    segments: readonly Segment[],
  ) {
    this.#backend = backend;
    this.#spec = spec;
    this.#options = options;
    this.#activations = activations;
    this.#segments = segments;
  }

  /** Loads weights, allocates cache and activations, and records the programs. */
  static load(
    backend: Backend,
    spec: ModelSpec,
    source: WeightSource,
    options: PartitionOptions,
  ): ModelPartition {
    checkRange(spec, options.layers);
    const loader = new WeightLoader(backend, source, options.progress);
    const build = new Build(backend, spec, loader, options);
    return new ModelPartition(backend, spec, options, build.activations, build.record());
  }

  get spec(): ModelSpec {
    return this.#spec;
  }

  /** Whether this partition embeds token ids. */
  get first(): boolean {
    return this.#options.layers.first === 0;
  }

  /** Whether this partition samples. */
  get last(): boolean {
    const { first, count } = this.#options.layers;
    return first + count === this.#spec.layers;
  }

  /** Runs one step. Throws `InvalidArgument` when a count passes its capacity. */
  async step(step: Step): Promise<StepResult> {
    this.#write(step);
    const counts = { tokens: step.tokens, samples: this.last ? step.samples : 0 };
    for (const segment of this.#segments) {
      await this.#backend.run(segment.program, counts);
      if (segment.remoteLayer !== undefined) await this.#askExperts(segment.remoteLayer, counts);
    }
    return this.last ? this.#readSamples(step) : this.#readHidden(step);
  }

  /** The logits of the last step's samples, f32 `[samples, vocab]`. */
  readLogits(samples: number): Promise<Float32Array> {
    return this.#backend.read(
      this.#activations.logits,
      new Float32Array(samples * this.#spec.vocab),
    );
  }

  #write(step: Step): void {
    const { capacity } = this.#options;
    checkCount("tokens", step.tokens, capacity.tokens);
    checkCount("samples", step.samples, capacity.samples);
    checkCount("history pairs", step.history.length / 2, capacity.history);
    const { ids, placement, x, indices, inputs } = this.#activations;
    const write = (tensor: Tensor, values: Float32Array | Int32Array, length: number) =>
      this.#backend.write(tensor, values.subarray(0, length));
    if (this.first) write(ids, step.ids, step.tokens);
    else write(x, requireHidden(step), step.tokens * this.#spec.dim);
    write(placement.positions, step.positions, step.tokens);
    write(placement.sequences, step.sequences, step.tokens);
    write(placement.pages, step.pages, step.pages.length);
    if (!this.last) return;
    write(indices, step.indices, step.samples);
    write(inputs.controls, step.controls, step.samples * 8);
    write(inputs.integers, step.integers, step.samples * 8);
    write(inputs.history, step.history, step.history.length);
  }

  async #askExperts(layer: number, { tokens }: Counts): Promise<void> {
    const { normed, choice, remote } = this.#activations;
    const { dim, mixture } = this.#spec;
    const topK = mixture!.topK;
    const [x, experts, weights] = [
      await this.#backend.read(normed, new Float32Array(tokens * dim)),
      await this.#backend.read(choice!.experts, new Int32Array(tokens * topK)),
      await this.#backend.read(choice!.weights, new Float32Array(tokens * topK)),
    ];
    const sum = await this.#options.remoteExperts!({ layer, tokens, x, experts, weights });
    this.#backend.write(remote!, sum.subarray(0, tokens * dim));
  }

  async #readSamples(step: Step): Promise<StepResult> {
    const { tokens, stats, topTokens, topLogprobs } = this.#activations.outputs;
    const n = step.samples;
    const result = {
      sampled: await this.#backend.read(tokens, new Int32Array(n)),
      stats: await this.#backend.read(stats, new Float32Array(n * 4)),
    };
    if (!wantsAlternatives(step)) return result;
    return {
      ...result,
      topTokens: await this.#backend.read(topTokens, new Int32Array(n * TOP_LOGPROBS)),
      topLogprobs: await this.#backend.read(topLogprobs, new Float32Array(n * TOP_LOGPROBS)),
    };
  }

  async #readHidden(step: Step): Promise<StepResult> {
    const into = new Float32Array(step.tokens * this.#spec.dim);
    const hidden = await this.#backend.read(this.#activations.x, into);
    return { sampled: new Int32Array(0), stats: new Float32Array(0), hidden };
  }
}

/** Loads and records one partition. */
class Build {
  readonly activations: Activations;
  readonly #embedding: Tensor | undefined;
  readonly #layers: readonly LayerWeights[];
  readonly #norm: Tensor | undefined;
  readonly #head: Tensor | undefined;
  readonly #context: LayerContext;

  constructor(
    readonly backend: Backend,
    readonly spec: ModelSpec,
    readonly loader: WeightLoader,
    readonly options: PartitionOptions,
  ) {
    const { layers, capacity } = options;
    const isLast = layers.first + layers.count === spec.layers;
    const tied = isLast && spec.tiedEmbeddings;
    if (layers.first === 0 || tied) this.#embedding = this.#matrix("model.embed_tokens.weight");
    this.#layers = Array.from(
      { length: layers.count },
      (_, i) => loadLayer(loader, spec, layers.first + i, this.#localExperts()),
    );
    if (isLast) {
      this.#norm = loader.vector("model.norm.weight", [
        { name: "model.norm.weight", shape: [spec.dim] },
      ]);
      this.#head = tied ? this.#embedding! : this.#matrix("lm_head.weight");
    }
    const remoteExperts = this.#hasRemoteExperts();
    this.activations = allocateActivations(backend, spec, capacity, {
      last: isLast,
      remoteExperts,
    });
    this.#context = {
      spec,
      activations: this.activations,
      cache: this.#allocateCache(),
      rotaryTable: this.#uploadRotary(),
    };
  }

  /** Cuts the layers into programs: one, unless a layer's experts must be asked elsewhere. */
  record(): Segment[] {
    const segments: Segment[] = [];
    const count = this.#layers.length;
    const remote = this.#hasRemoteExperts();
    let from = 0;
    for (let i = 0; i < count; i++) {
      const asks = remote && this.#layers[i]!.mlp.kind === "mixture";
      if (!asks) continue;
      segments.push({
        program: this.#program(from, i + 1),
        remoteLayer: this.options.layers.first + i,
      });
      from = i + 1;
    }
    segments.push({ program: this.#program(from, count) });
    return segments;
  }

  /** Records layers `[from, to)`, with embedding and head where they belong. */
  #program(from: number, to: number): Program {
    const { layers } = this.options;
    return this.backend.record(`layers ${layers.first + from}-${layers.first + to - 1}`, (r) => {
      const a = this.activations;
      if (from === 0 && layers.first === 0) r.embed(a.x, this.#embedding!, a.ids);
      if (from > 0) r.add(a.x, a.remote!);
      for (let i = from; i < to; i++) {
        const weights = this.#layers[i]!;
        recordAttention(r, this.#context, weights, layers.first + i, i);
        recordFeedForward(r, this.#context, weights);
      }
      const isEnd = to === this.#layers.length && !(this.#asksAfter(from, to));
      if (isEnd && this.#norm) recordHead(r, this.#context, this.#norm, this.#head!);
    });
  }

  /** Whether a program that ends at `to` still waits for remote experts. */
  #asksAfter(from: number, to: number): boolean {
    return to > from && this.#hasRemoteExperts() && this.#layers[to - 1]!.mlp.kind === "mixture";
  }

  #matrix(name: string): Tensor {
    return this.loader.matrix(name, this.spec.vocab, this.spec.dim);
  }

  #localExperts(): Range | undefined {
    const experts = this.spec.mixture?.experts ?? 0;
    return this.options.localExperts ?? { first: 0, count: experts };
  }

  #hasRemoteExperts(): boolean {
    const { mixture } = this.spec;
    if (!mixture || this.#localExperts()!.count === mixture.experts) return false;
    if (this.options.remoteExperts) return true;
    throw new KernelError(
      "InvalidArgument",
      "Cannot leave experts out without a place to ask for them",
    );
  }

  #allocateCache(): KvCache {
    const { layers, pages, pageSize, kvDtype } = this.options;
    const { kvHeads, headDim } = this.spec;
    const dtype = kvDtype ?? "f32";
    return this.backend.kvCache({ layers: layers.count, pages, pageSize, kvHeads, headDim, dtype });
  }

  #uploadRotary(): Tensor {
    const { capacity, pageSize } = this.options;
    const positions = Math.min(this.spec.maxPositions, capacity.sequencePages * pageSize);
    const shape = [positions, this.spec.headDim];
    const table = this.backend.tensor({ label: "rotary", dtype: "f32", shape });
    this.backend.write(table, rotaryTable(this.spec, positions));
    return table;
  }
}

function checkRange({ layers }: ModelSpec, { first, count }: Range): void {
  if (first >= 0 && count >= 1 && first + count <= layers) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot place layers outside 0-${layers - 1}: ${first}+${count}`,
  );
}

function checkCount(what: string, count: number, capacity: number): void {
  if (count <= capacity) return;
  throw new KernelError("InvalidArgument", `Cannot run more than ${capacity} ${what}: ${count}`);
}

function requireHidden(step: Step): Float32Array {
  if (step.hidden) return step.hidden;
  throw new KernelError("InvalidArgument", "Cannot run a later partition without hidden states");
}
