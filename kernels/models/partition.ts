/** A contiguous range of a model's layers on one device. */
import type { Backend, Counts, Tensor } from "../backend.ts";
import { TOP_LOGPROBS } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { WeightSource } from "../formats/mod.ts";
import type { Activations } from "./activations.ts";
import { PartitionBuild, type Segment } from "./partition_build.ts";
import type { PartitionOptions } from "./partition_options.ts";
import type { ModelSpec } from "./spec.ts";
import { type Step, type StepResult, wantsAlternatives } from "./step.ts";
import { WeightLoader } from "./weight_loader.ts";

/** A loaded partition. Steps must not overlap. */
export class ModelPartition {
  readonly #backend: Backend;
  readonly #spec: ModelSpec;
  readonly #options: PartitionOptions;
  readonly #activations: Activations;
  readonly #segments: readonly Segment[];
  /** Page tables as the device has them: rows of full width. */
  readonly #pages: Int32Array;

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
    const { sequences, sequencePages } = options.capacity;
    this.#pages = new Int32Array(sequences * sequencePages);
  }

  /** Loads weights, allocates cache and activations, and records the programs. */
  static load(
    backend: Backend,
    spec: ModelSpec,
    source: WeightSource,
    options: PartitionOptions,
  ): ModelPartition {
    const loader = new WeightLoader(backend, source, options.progress);
    const build = new PartitionBuild(backend, spec, loader, options);
    return new ModelPartition(backend, spec, options, build.activations, build.record());
  }

  /** The model's facts. */
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

  /**
   * Runs one step. Throws `InvalidArgument` when a count passes its capacity, and what `remoteExperts` throws;
   * `signal` is passed on to it.
   */
  async step(step: Step, signal?: AbortSignal): Promise<StepResult> {
    this.#write(step);
    const counts = {
      tokens: step.tokens,
      samples: this.last ? step.samples : 0,
      ...reach(step),
    };
    for (const { program, remoteLayer } of this.#segments) {
      await this.#backend.run(program, counts);
      if (remoteLayer !== undefined) await this.#askExperts(remoteLayer, counts, signal);
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
      this.#backend.write(tensor, values.length === length ? values : values.subarray(0, length));
    if (this.first) checkLength("ids", step.ids.length, step.tokens);
    if (this.first) write(ids, step.ids, step.tokens);
    else write(x, this.#hiddenOf(step), step.tokens * this.#spec.dim);
    write(placement.positions, step.positions, step.tokens);
    write(placement.sequences, step.sequences, step.tokens);
    this.#writePages(step);
    if (!this.last) return;
    write(indices, step.indices, step.samples);
    write(inputs.controls, step.controls, step.samples * 8);
    write(inputs.integers, step.integers, step.samples * 8);
    write(inputs.history, step.history, step.history.length);
  }

  #writePages({ tables, pages }: Step): void {
    const { sequences, sequencePages } = this.#options.capacity;
    const width = tables > 0 ? pages.length / tables : 0;
    checkCount("page tables", tables, sequences);
    checkCount("pages a sequence", width, sequencePages);
    for (let row = 0; row < tables; row++) {
      this.#pages.set(pages.subarray(row * width, (row + 1) * width), row * sequencePages);
    }
    const live = this.#pages.subarray(0, tables * sequencePages);
    this.#backend.write(this.#activations.placement.pages, live);
  }

  async #askExperts(layer: number, { tokens }: Counts, signal?: AbortSignal): Promise<void> {
    const { normed, choice, remote } = this.#activations;
    const { dim, mixture } = this.#spec;
    const topK = mixture!.topK;
    const [x, experts, weights] = [
      await this.#backend.read(normed, new Float32Array(tokens * dim)),
      await this.#backend.read(choice!.experts, new Int32Array(tokens * topK)),
      await this.#backend.read(choice!.weights, new Float32Array(tokens * topK)),
    ];
    const sum = await this.#options.remoteExperts!(
      { layer, tokens, x, experts, weights },
      signal,
    );
    checkLength("sums of remote experts", sum.length, tokens * dim);
    this.#backend.write(remote!, sum.subarray(0, tokens * dim));
  }

  #hiddenOf({ hidden, tokens }: Step): Float32Array {
    checkLength("hidden states", hidden?.length ?? 0, tokens * this.#spec.dim);
    return hidden ?? new Float32Array(0);
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

function checkCount(what: string, count: number, capacity: number): void {
  if (Number.isInteger(count) && count >= 0 && count <= capacity) return;
  throw new KernelError("InvalidArgument", `Cannot run more than ${capacity} ${what}: ${count}`);
}

function checkLength(what: string, length: number, needed: number): void {
  if (length >= needed) return;
  throw new KernelError("InvalidArgument", `Cannot take fewer ${what} than ${needed}: ${length}`);
}

/** What a step's placement tells of its attention. */
function reach(
  { tokens, positions, sequences }: Step,
): Required<Pick<Counts, "distinct" | "oneSequence" | "context">> {
  let context = 0;
  for (let t = 0; t < tokens; t++) context = Math.max(context, positions[t]! + 1);
  const held = new Set(sequences.subarray(0, tokens)).size;
  return { distinct: held === tokens, oneSequence: held === 1, context };
}
