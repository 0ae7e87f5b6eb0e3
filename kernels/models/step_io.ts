/** Writes steps into the tensors of a partition, and reads what they leave there. */
import type { Backend, Counts, Tensor } from "../backend.ts";
import { TOP_LOGPROBS } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { Activations } from "./activations.ts";
import type { PartitionOptions } from "./partition_options.ts";
import { type Step, type StepResult, wantsAlternatives } from "./step.ts";

/** Which ends of the model a partition holds. */
export interface Ends {
  /** Whether it embeds token ids. */
  readonly first: boolean;
  /** Whether it samples. */
  readonly last: boolean;
}

/** A step's counts, all of them known. */
export type StepCounts = Required<Counts>;

/** The host's side of a partition's tensors. What it writes with is kept from step to step. */
export class StepIo {
  readonly #backend: Backend;
  readonly #activations: Activations;
  readonly #options: PartitionOptions;
  readonly #ends: Ends;
  /** Page tables as the device has them: rows of full width. */
  readonly #pages: Int32Array;
  /** Ids or positions of a round. */
  readonly #ofTokens: Int32Array;
  /** The sampler's integers of a round. */
  readonly #ofSamples: Int32Array;
  /** The last step in which each row of the page tables had a token. */
  readonly #seen: Int32Array;
  #steps = 0;

  constructor(backend: Backend, activations: Activations, options: PartitionOptions, ends: Ends) {
    this.#backend = backend;
    this.#activations = activations;
    this.#options = options;
    this.#ends = ends;
    const { tokens, samples, sequences, sequencePages } = options.capacity;
    this.#pages = new Int32Array(sequences * sequencePages);
    this.#ofTokens = new Int32Array(tokens);
    this.#ofSamples = new Int32Array(samples * 8);
    this.#seen = new Int32Array(sequences);
  }

  /** Writes a step. Throws `InvalidArgument` when a count passes its capacity. */
  write(step: Step): void {
    const { capacity } = this.#options;
    checkCount("tokens", step.tokens, capacity.tokens);
    checkCount("samples", step.samples, capacity.samples);
    checkCount("history pairs", step.history.length / 2, capacity.history);
    const { ids, placement, x, indices, inputs } = this.#activations;
    if (this.#ends.first) this.#write(ids, step.ids, step.tokens);
    else this.#write(x, step.hidden ?? new Float32Array(0), step.tokens * x.shape[1]!);
    this.#write(placement.positions, step.positions, step.tokens);
    this.#write(placement.sequences, step.sequences, step.tokens);
    this.#writePages(step);
    if (!this.#ends.last) return;
    this.#write(indices, step.indices, step.samples);
    this.#write(inputs.controls, step.controls, step.samples * 8);
    this.#write(inputs.integers, step.integers, step.samples * 8);
    this.#write(inputs.history, step.history, step.history.length);
  }

  /** Writes what a later round of a step reads: the tokens that were sampled before it, one position further. */
  writeRound(step: Step, round: number): void {
    const { ids, placement, inputs } = this.#activations;
    const ofTokens = this.#ofTokens.subarray(0, step.tokens);
    if (round === 1) this.#backend.write(ids, fill(ofTokens, (t) => -1 - t));
    this.#backend.write(placement.positions, fill(ofTokens, (t) => step.positions[t]! + round));
    const integers = this.#ofSamples.subarray(0, step.samples * 8);
    const drawOf = (i: number) => step.integers[i]! + (i % 8 === 2 ? round : 0);
    this.#backend.write(inputs.integers, fill(integers, drawOf));
  }

  /** What a step's rows have in common. Throws `InvalidArgument` for places outside of the cache. */
  countsOf({ tokens, samples, positions, sequences, tables, rounds = 1 }: Step): StepCounts {
    const { capacity: { sequencePages }, pageSize } = this.#options;
    const positionsBelow = sequencePages * pageSize + 1 - rounds;
    const step = ++this.#steps;
    let context = 0;
    let held = 0;
    for (let t = 0; t < tokens; t++) {
      const position = positions[t]!;
      const row = sequences[t]!;
      checkIndex("position", position, positionsBelow);
      checkIndex("row of the page tables", row, tables);
      context = Math.max(context, position + 1);
      if (this.#seen[row] !== step) held++;
      this.#seen[row] = step;
    }
    const shape = { distinct: held === tokens, oneSequence: held === 1, context };
    return { tokens, samples: this.#ends.last ? samples : 0, ...shape };
  }

  /** Reads the samples of a step's rounds; `run` says which run each round was, if they ran in a row. */
  async readSamples(step: Step, into: StepResult, round: number, run?: number): Promise<void> {
    const { tokens, stats, topTokens, topLogprobs } = this.#activations.outputs;
    const { samples } = step;
    await this.#backend.read(tokens, ofRound(into.sampled, samples, round), run);
    await this.#backend.read(stats, ofRound(into.stats, samples * 4, round), run);
    if (!into.topTokens || !into.topLogprobs) return;
    const tops = samples * TOP_LOGPROBS;
    await this.#backend.read(topTokens, ofRound(into.topTokens, tops, round), run);
    await this.#backend.read(topLogprobs, ofRound(into.topLogprobs, tops, round), run);
  }

  /** Reads what goes to the next partition. */
  async readHidden(step: Step): Promise<StepResult> {
    const { x } = this.#activations;
    const hidden = await this.#backend.read(x, new Float32Array(step.tokens * x.shape[1]!));
    return { sampled: new Int32Array(0), stats: new Float32Array(0), hidden };
  }

  #write(tensor: Tensor, values: Float32Array | Int32Array, length: number): void {
    checkLength(`values of ${tensor.label}`, values.length, length);
    this.#backend.write(tensor, values.length === length ? values : values.subarray(0, length));
  }

  #writePages({ tables, pages }: Step): void {
    const { capacity: { sequences, sequencePages }, pages: pagesBelow } = this.#options;
    const width = tables > 0 ? pages.length / tables : 0;
    checkCount("page tables", tables, sequences);
    checkCount("pages a sequence", width, sequencePages);
    for (let row = 0; row < tables; row++) {
      for (let i = 0; i < width; i++) {
        const page = pages[row * width + i]!;
        checkIndex("page", page, pagesBelow);
        this.#pages[row * sequencePages + i] = page;
      }
    }
    const live = this.#pages.subarray(0, tables * sequencePages);
    this.#backend.write(this.#activations.placement.pages, live);
  }
}

/** Room for the samples of all rounds of a step. */
export function emptyResult(step: Step): StepResult {
  const rows = step.samples * (step.rounds ?? 1);
  return {
    sampled: new Int32Array(rows),
    stats: new Float32Array(rows * 4),
    ...(wantsAlternatives(step) && {
      topTokens: new Int32Array(rows * TOP_LOGPROBS),
      topLogprobs: new Float32Array(rows * TOP_LOGPROBS),
    }),
  };
}

/** Throws `InvalidArgument` when there are fewer values than needed. */
export function checkLength(what: string, length: number, needed: number): void {
  if (length >= needed) return;
  throw new KernelError("InvalidArgument", `Cannot take fewer ${what} than ${needed}: ${length}`);
}

/** The values of one round of all rounds', `each` a round. */
function ofRound<T extends Int32Array | Float32Array>(all: T, each: number, round: number): T {
  return all.length === each ? all : all.subarray(round * each, (round + 1) * each) as T;
}

function checkCount(what: string, count: number, capacity: number): void {
  if (Number.isInteger(count) && count >= 0 && count <= capacity) return;
  throw new KernelError("InvalidArgument", `Cannot run more than ${capacity} ${what}: ${count}`);
}

function checkIndex(what: string, index: number, count: number): void {
  if (index >= 0 && index < count) return;
  throw new KernelError("InvalidArgument", `Cannot use a ${what} outside ${count}: ${index}`);
}

function fill(into: Int32Array, valueOf: (index: number) => number): Int32Array {
  for (let i = 0; i < into.length; i++) into[i] = valueOf(i);
  return into;
}
