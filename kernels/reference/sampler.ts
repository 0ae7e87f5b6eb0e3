/** The sampler in plain TypeScript: the steps of Hugging Face's logits processors, in their order. */
import { uniform } from "../sampling/mod.ts";
import { highest, softmax } from "./operations.ts";

/** One row of `SamplerInputs.controls` and `.integers`, by name. */
export interface SamplerControls {
  readonly temperature: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetition: number;
  readonly presence: number;
  readonly frequency: number;
  readonly topK: number;
  readonly seedLow: number;
  readonly seedHigh: number;
  readonly draw: number;
  /** Pairs of token and occurrences in the output. */
  readonly history: Int32Array;
}

/** Log-probabilities of raw logits, float64. */
export function logSoftmax(logits: Float32Array): Float64Array {
  let top = -Infinity;
  for (const value of logits) top = Math.max(top, value);
  let total = 0;
  for (const value of logits) total += Math.exp(value - top);
  const shift = top + Math.log(total);
  return Float64Array.from(logits, (value) => value - shift);
}

/** Margin and entropy of a distribution given by its log-probabilities. */
export function confidence(
  logprobs: Float64Array,
): { margin: number; entropy: number; top: number } {
  let [first, second, entropy] = [-Infinity, -Infinity, 0];
  for (const value of logprobs) {
    if (value > first) [first, second] = [value, first];
    else if (value > second) second = value;
    entropy -= Math.exp(value) * value;
  }
  return { margin: first - second, entropy, top: first };
}

/** Draws one token. */
export function drawToken(logits: Float32Array, controls: SamplerControls): number {
  const scores = penalise(Float32Array.from(logits), controls);
  if (controls.temperature <= 0) return argmax(scores);
  const kept = keep(scores.map((score) => score / controls.temperature), controls);
  const mass = kept.reduce((sum, [, probability]) => sum + probability, 0);
  let remaining = uniform(controls.seedLow, controls.seedHigh, controls.draw) * mass;
  for (const [token, probability] of kept) {
    remaining -= probability;
    if (remaining < 0) return token;
  }
  return kept.at(-1)![0];
}

function penalise(scores: Float32Array, controls: SamplerControls): Float32Array {
  const { history, repetition, presence, frequency } = controls;
  for (let i = 0; i < history.length; i += 2) {
    const [token, count] = [history[i]!, history[i + 1]!];
    const score = scores[token]!;
    const repeated = score > 0 ? score / repetition : score * repetition;
    scores[token] = repeated - (count > 0 ? presence : 0) - frequency * count;
  }
  return scores;
}

function argmax(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/** Tokens that survive top-k, top-p and min-p with their probabilities, in index order. */
function keep(scores: Float32Array, { topK, topP, minP }: SamplerControls): [number, number][] {
  const ranked = highest(scores, topK > 0 ? Math.min(topK, scores.length) : scores.length);
  const probabilities = softmax(ranked.map((token) => scores[token]!));
  const floor = minP * probabilities[0]!;
  const kept: [number, number][] = [];
  let mass = 0;
  for (const [rank, token] of ranked.entries()) {
    const probability = probabilities[rank]!;
    if (rank > 0 && (mass >= topP || probability < floor)) break;
    kept.push([token, probability]);
    mass += probability;
  }
  return kept.sort(([a], [b]) => a - b);
}
