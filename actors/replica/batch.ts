import { createStep, type Step, type StepBuffer } from "../../kernels/mod.ts";
import type { Sequence } from "./sequence.ts";

/** A step, and the sequences that it samples in the order of its rows. */
export interface Batch {
  /** What partitions compute. */
  readonly step: Step;
  /** The sequences whose last token is sampled. */
  readonly sampled: readonly Sequence[];
}

/**
 * Makes the steps of plans, one at a time. The arrays of a step serve the next one where they have its sizes, as
 * those of decodes do: so the one before must be computed.
 */
export class Batcher {
  readonly #step: StepBuffer = createStep({
    tokens: 0,
    samples: 0,
    sequences: 0,
    sequencePages: 0,
    history: 0,
  });

  /** The step that computes a plan, in so many rounds. */
  batchOf(plan: readonly Sequence[], rounds = 1): Batch {
    const sampled = plan.every(isSampled) ? plan : plan.filter(isSampled);
    this.#resize(plan, sampled);
    this.#step.rounds = rounds;
    fillPlacement(this.#step, plan);
    fillSampling(this.#step, sampled);
    return { step: this.#step, sampled };
  }

  #resize(plan: readonly Sequence[], sampled: readonly Sequence[]): void {
    const step = this.#step;
    let [tokens, width, pairs] = [0, 0, 0];
    for (let i = 0; i < plan.length; i++) {
      tokens += plan[i]!.inFlight;
      width = Math.max(width, plan[i]!.table.pages.length);
    }
    for (let i = 0; i < sampled.length; i++) pairs += sampled[i]!.counts?.size ?? 0;
    step.tokens = tokens;
    step.samples = sampled.length;
    step.tables = plan.length;
    step.ids = ofLength(step.ids, tokens);
    step.positions = ofLength(step.positions, tokens);
    step.sequences = ofLength(step.sequences, tokens);
    step.pages = ofLength(step.pages, plan.length * width);
    step.indices = ofLength(step.indices, sampled.length);
    step.integers = ofLength(step.integers, sampled.length * 8);
    step.history = ofLength(step.history, pairs * 2);
    if (step.controls.length !== sampled.length * 8) {
      step.controls = new Float32Array(sampled.length * 8);
    }
  }
}

function isSampled({ inFlight, pending }: Sequence): boolean {
  return inFlight === pending;
}

function ofLength(kept: Int32Array, length: number): Int32Array {
  return kept.length === length ? kept : new Int32Array(length);
}

/** Tokens and pages; row `i` of the page tables is that of sequence `i`. */
function fillPlacement(step: Step, plan: readonly Sequence[]): void {
  const width = step.pages.length / plan.length;
  let [token, samples] = [0, 0];
  for (let row = 0; row < plan.length; row++) {
    const sequence = plan[row]!;
    const { pages } = sequence.table;
    for (let i = 0; i < width; i++) step.pages[row * width + i] = pages[i] ?? 0;
    for (let i = 0; i < sequence.inFlight; i++, token++) {
      const position = sequence.computed + i;
      step.ids[token] = sequence.id(position);
      step.positions[token] = position;
      step.sequences[token] = row;
    }
    if (isSampled(sequence)) step.indices[samples++] = token - 1;
  }
}

/** What the sampler reads, one row a sequence. */
function fillSampling({ controls, integers, history }: Step, sampled: readonly Sequence[]): void {
  let pairs = 0;
  for (let row = 0; row < sampled.length; row++) {
    const sequence = sampled[row]!;
    const first = pairs;
    if (sequence.counts) {
      for (const [id, count] of sequence.counts) {
        history[pairs * 2] = id;
        history[pairs++ * 2 + 1] = count;
      }
    }
    fillControls(controls, row * 8, sequence);
    fillIntegers(integers, row * 8, sequence);
    integers[row * 8 + 3] = first;
    integers[row * 8 + 4] = pairs - first;
  }
}

function fillControls(into: Float32Array, at: number, { request: { sampling } }: Sequence): void {
  into[at] = sampling.temperature;
  into[at + 1] = sampling.topP;
  into[at + 2] = sampling.minP;
  into[at + 3] = sampling.repetitionPenalty;
  into[at + 4] = sampling.presencePenalty;
  into[at + 5] = sampling.frequencyPenalty;
}

/** All but the history's range. */
function fillIntegers(into: Int32Array, at: number, { request, length }: Sequence): void {
  const { seed, topK } = request.sampling;
  into[at] = seed % 2 ** 32 | 0;
  into[at + 1] = Math.floor(seed / 2 ** 32) | 0;
  into[at + 2] = length;
  into[at + 5] = topK;
  into[at + 6] = request.alternatives;
}
