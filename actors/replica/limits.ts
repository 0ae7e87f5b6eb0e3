import type { Capacity } from "../../kernels/mod.ts";

/** Bounds of a replica. */
export interface ReplicaLimits {
  /** Tokens a step: decodes and prefill chunks together. */
  readonly tokens: number;
  /** Sequences that run together. */
  readonly sequences: number;
  /** Requests that may wait; more are refused with `Overloaded`. */
  readonly waiting: number;
  /** Tokens of one sequence, prompt and output. */
  readonly context: number;
  /** Physical pages of the KV cache. */
  readonly pages: number;
  /** Tokens a page. */
  readonly pageSize: number;
}

/** The most that a step of these limits can hold; micro-batches are steps of their own. */
export function stepCapacity(limits: ReplicaLimits): Capacity {
  return {
    tokens: limits.tokens,
    samples: limits.sequences,
    sequences: limits.sequences,
    sequencePages: Math.ceil(limits.context / limits.pageSize),
    history: limits.pages * limits.pageSize,
  };
}
