import { uniform } from "../weights/mod.ts";

/** Seeded random token ids below `vocab`. */
export function randomIds(seed: number, length: number, vocab: number): number[] {
  const random = uniform(seed * 7919 + 17);
  return Array.from({ length }, () => Math.floor(random() * vocab));
}

/** The prompts of a decode measurement: one for each sequence, all different. */
export function decodePrompts(batch: number, length: number, vocab: number): number[][] {
  return Array.from({ length: batch }, (_, i) => randomIds(100 + i, length, vocab));
}

/** The prompt of a prefill measurement; another for every `run`, so that no cache helps. */
export function prefillPrompt(length: number, vocab: number, run: number): number[] {
  return randomIds(10_000 + run, length, vocab);
}

/** Prompts of different lengths on which engines must agree. */
export function agreementPrompts(vocab: number): number[][] {
  return [1, 2, 7, 16, 33, 64, 100, 129].map((length, i) => randomIds(200 + i, length, vocab));
}
