/**
 * Confidence in an answer: a low quantile of the log-probabilities of its sampled tokens (Gupta et al.,
 * "Language Model Cascades: Token-level uncertainty and beyond", 2024, section 4; HybridServe takes the
 * minimum, which is `q = 0`). A quantile does not punish long answers as a sum does, nor hide one bad token
 * as a mean does.
 */

/** The `q` quantile, rounded down to a sample: `sorted[floor(q * (n - 1))]`; `null` of no tokens. */
export function lowQuantile(logprobs: readonly number[], q: number): number | null {
  if (logprobs.length === 0) return null;
  const sorted = Float64Array.from(logprobs).sort();
  return sorted[Math.floor(q * (sorted.length - 1))]!;
}

/**
 * Whether an unfinished answer can no longer reach a threshold, however it goes on: more of its tokens lie
 * below than the quantile of the longest possible answer overlooks.
 */
export function isHopeless(
  logprobs: readonly number[],
  { q, threshold, maxTokens }: { q: number; threshold: number; maxTokens: number },
): boolean {
  const overlooked = Math.floor(q * (Math.max(maxTokens, logprobs.length) - 1));
  let below = 0;
  for (const logprob of logprobs) if (logprob < threshold) below++;
  return below > overlooked;
}
