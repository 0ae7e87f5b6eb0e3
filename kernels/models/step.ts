/** One step of a running batch, as host arrays. */
import type { Capacity } from "./activations.ts";

/** The most rounds of one step. */
export const MOST_ROUNDS = 16;

/**
 * The tokens to compute and the rows to sample. Typed arrays may be longer than the live counts; only the
 * leading live elements are read.
 */
export interface Step {
  /** Live tokens. */
  readonly tokens: number;
  /** Live samples. */
  readonly samples: number;
  /** i32 `[tokens]`; read by the first partition. */
  readonly ids: Int32Array;
  /** i32 `[tokens]`. */
  readonly positions: Int32Array;
  /** i32 `[tokens]`: row of `pages`. */
  readonly sequences: Int32Array;
  /** Rows of `pages`: sequences of this step. */
  readonly tables: number;
  /** i32 `[tables, width]`: physical pages of each sequence, in as many columns as the longest needs. */
  readonly pages: Int32Array;
  /** i32 `[samples]`: which token's logits each sample draws from. */
  readonly indices: Int32Array;
  /** f32 `[samples, 8]`, see `SamplerInputs`. */
  readonly controls: Float32Array;
  /** i32 `[samples, 8]`, see `SamplerInputs`. */
  readonly integers: Int32Array;
  /** i32 `[pairs, 2]`, see `SamplerInputs`. */
  readonly history: Int32Array;
  /** f32 `[tokens, dim]`: output of the partition before; absent for the first. */
  readonly hidden?: Float32Array;
  /**
   * How many steps to compute in a row, each with the tokens that the one before sampled, at the next positions; 1 by
   * default. More only where one partition holds the whole model, and for steps that sample after every token, in
   * order, without history; at most {@link MOST_ROUNDS}.
   */
  readonly rounds?: number;
}

/** What the last partition answers, one row a sample, round after round; earlier partitions answer `hidden`. */
export interface StepResult {
  /** i32 `[rounds * samples]`. */
  readonly sampled: Int32Array;
  /** f32 `[rounds * samples, 4]`: log-probability, margin, entropy, highest log-probability. */
  readonly stats: Float32Array;
  /** i32 `[rounds * samples, TOP_LOGPROBS]`; absent when no row wanted alternatives. */
  readonly topTokens?: Int32Array;
  /** f32 `[rounds * samples, TOP_LOGPROBS]`; absent when no row wanted alternatives. */
  readonly topLogprobs?: Float32Array;
  /** f32 `[tokens, dim]` for the next partition; absent from the last. */
  readonly hidden?: Float32Array;
}

/** A step whose arrays are filled in place, step after step. */
export type StepBuffer = { -readonly [K in keyof Step]: Step[K] };

/** Allocates a reusable step for a capacity. */
export function createStep(capacity: Capacity): StepBuffer {
  const { tokens, samples, sequences, sequencePages, history } = capacity;
  return {
    tokens: 0,
    samples: 0,
    ids: new Int32Array(tokens),
    positions: new Int32Array(tokens),
    sequences: new Int32Array(tokens),
    tables: sequences,
    pages: new Int32Array(sequences * sequencePages),
    indices: new Int32Array(samples),
    controls: new Float32Array(samples * 8),
    integers: new Int32Array(samples * 8),
    history: new Int32Array(history * 2),
  };
}

/** Whether any sample of a step wants alternatives. */
export function wantsAlternatives(step: Step): boolean {
  for (let s = 0; s < step.samples; s++) if (step.integers[s * 8 + 6]! > 0) return true;
  return false;
}
