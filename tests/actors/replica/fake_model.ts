/** A model that computes hashes: each stage's output depends on all tokens before, by way of its pages. */
import type { LoadedPartition } from "../../../actors/replica/mod.ts";
import type { Step, StepResult } from "../../../kernels/mod.ts";
import { type Clock, sleep } from "../../../runtime/mod.ts";

/** Token ids are below it. */
export const VOCAB = 251;

/** Hashes are below it, so that float32 holds them exactly. */
const MODULUS = 65521;

/** A step that a stage has begun. */
export interface StageStart {
  /** The stage. */
  readonly stage: number;
  /** When, in milliseconds since the log began. */
  readonly at: number;
  /** Tokens of the step. */
  readonly tokens: number;
}

/** How a stage computes. */
export interface FakeStage {
  /** Which one, from 0. */
  readonly stage: number;
  /** Of how many. */
  readonly of: number;
  /** What a step costs, in milliseconds. */
  readonly costMs: number;
  /** Tokens a page. */
  readonly pageSize: number;
  /** The time. */
  readonly clock: Clock;
  /** Takes note of each step. */
  readonly begin: (tokens: number) => void;
}

/** One stage of the model, with keys and values in pages as a real one has. */
export function fakePartition(
  { stage, of, costMs, pageSize, clock, begin }: FakeStage,
): LoadedPartition {
  const slots = new Map<number, number>();
  const compute = (step: Step): Float32Array => {
    const width = step.pages.length / step.tables;
    const hidden = new Float32Array(step.tokens);
    for (let t = 0; t < step.tokens; t++) {
      const slotOf = (position: number) => {
        const page = step.pages[step.sequences[t]! * width + Math.floor(position / pageSize)]!;
        return page * pageSize + position % pageSize;
      };
      const position = step.positions[t]!;
      const before = position === 0 ? 0 : slots.get(slotOf(position - 1));
      if (before === undefined) {
        throw new Error(`Cannot see the token before position: ${position}`);
      }
      hidden[t] = hash(before, stage === 0 ? step.ids[t]! : step.hidden![t]!);
      slots.set(slotOf(position), hidden[t]!);
    }
    return hidden;
  };
  return {
    first: stage === 0,
    close: () => {},
    async step({ rounds = 1, ...step }): Promise<StepResult> {
      begin(step.tokens);
      if (costMs > 0) await sleep(clock, costMs * rounds);
      const hidden = compute(step);
      if (stage < of - 1) return { sampled: new Int32Array(0), stats: new Float32Array(0), hidden };
      const sampled = [...sampleOf(step, hidden)];
      for (let round = 1; round < rounds; round++) {
        const ids = Int32Array.from(sampled.slice(-step.tokens));
        const positions = step.positions.map((position) => position + round);
        const later = { ...step, ids, positions };
        sampled.push(...sampleOf(later, compute(later)));
      }
      return { sampled: Int32Array.from(sampled), stats: new Float32Array(4 * sampled.length) };
    },
  };
}

function sampleOf({ indices }: Step, hidden: Float32Array): Int32Array {
  return indices.map((token) => hidden[token]! % VOCAB);
}

/** What the model of so many stages says after a prompt. */
export function fakeText(stages: number, prompt: readonly number[], tokens: number): number[] {
  const states = new Array<number>(stages).fill(0);
  const read = (id: number) =>
    states.reduce((input, before, stage) => states[stage] = hash(before, input), id) % VOCAB;
  let next = prompt.map(read).at(-1)!;
  return Array.from({ length: tokens }, () => {
    const id = next;
    next = read(id);
    return id;
  });
}

function hash(before: number, input: number): number {
  return (before * 31 + input * 7 + 1) % MODULUS;
}
