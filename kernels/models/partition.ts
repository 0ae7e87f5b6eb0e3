/** A contiguous range of a model's layers on one device. */
import type { Backend, Counts } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { WeightSource } from "../formats/mod.ts";
import type { Activations } from "./activations.ts";
import { PartitionBuild, type Segment } from "./partition_build.ts";
import type { PartitionOptions } from "./partition_options.ts";
import type { ModelSpec } from "./spec.ts";
import { MOST_ROUNDS, type Step, type StepResult } from "./step.ts";
import { checkLength, emptyResult, type StepCounts, StepIo } from "./step_io.ts";
import { WeightLoader } from "./weight_loader.ts";

/** A loaded partition. Steps must not overlap. */
export class ModelPartition {
  readonly #backend: Backend;
  readonly #spec: ModelSpec;
  readonly #options: PartitionOptions;
  readonly #activations: Activations;
  readonly #segments: readonly Segment[];
  readonly #io: StepIo;

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
    this.#io = new StepIo(backend, activations, options, this);
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
   * Runs one step, or its rounds in a row. Throws `InvalidArgument` when a count passes its capacity or rounds are not
   * possible, and what `remoteExperts` throws; `signal` is passed on to it.
   */
  async step(step: Step, signal?: AbortSignal): Promise<StepResult> {
    this.#io.write(step);
    const counts = this.#io.countsOf(step);
    if ((step.rounds ?? 1) > 1) return await this.#runRounds(step, counts);
    for (const { program, remoteLayer } of this.#segments) {
      await this.#backend.run(program, counts);
      if (remoteLayer !== undefined) await this.#askExperts(remoteLayer, counts, signal);
    }
    if (!this.last) return await this.#io.readHidden(step);
    const result = emptyResult(step);
    await this.#io.readSamples(step, result, 0);
    return result;
  }

  /** The logits of the last step's samples, f32 `[samples, vocab]`. */
  readLogits(samples: number): Promise<Float32Array> {
    return this.#backend.read(
      this.#activations.logits,
      new Float32Array(samples * this.#spec.vocab),
    );
  }

  async #runRounds(step: Step, counts: StepCounts): Promise<StepResult> {
    const [{ program }, ...others] = this.#segments as [Segment, ...Segment[]];
    checkRounds(step, this.first && this.last && others.length === 0);
    const result = emptyResult(step);
    const rounds = Array.from(
      { length: step.rounds! },
      (_, round) => ({ ...counts, context: counts.context + round }),
    );
    const inRow = this.#backend.runInRow !== undefined;
    await this.#backend.runInRow?.(program, rounds, (round) => this.#io.writeRound(step, round));
    for (const [round, ofRound] of rounds.entries()) {
      if (!inRow && round > 0) this.#io.writeRound(step, round);
      if (!inRow) await this.#backend.run(program, ofRound);
      await this.#io.readSamples(step, result, round, inRow ? round : undefined);
    }
    return result;
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
}

/** Throws `InvalidArgument` unless each token of a round is the one that the round before sampled in its place. */
function checkRounds({ tokens, samples, indices, history, rounds }: Step, isWhole: boolean): void {
  const isInOrder = samples === tokens && indices.subarray(0, tokens).every((at, t) => at === t);
  if (isWhole && isInOrder && history.length === 0 && rounds! <= MOST_ROUNDS) return;
  throw new KernelError("InvalidArgument", `Cannot compute a step in rounds: ${rounds}`);
}
