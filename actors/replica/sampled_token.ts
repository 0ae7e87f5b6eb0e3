import { type StepResult, TOP_LOGPROBS } from "../../kernels/mod.ts";
import type { SampledToken } from "../replica_protocol.ts";

/** The token in a row of a step's result, with so many alternatives. */
export function sampledToken(result: StepResult, row: number, alternatives: number): SampledToken {
  return {
    id: result.sampled[row]!,
    logprob: result.stats[row * 4]!,
    margin: result.stats[row * 4 + 1]!,
    entropy: result.stats[row * 4 + 2]!,
    ...(alternatives > 0 && { top: topOf(result, row * TOP_LOGPROBS, alternatives) }),
  };
}

function topOf({ topTokens, topLogprobs }: StepResult, first: number, count: number) {
  return Array.from({ length: count }, (_, rank) => ({
    id: topTokens![first + rank]!,
    logprob: topLogprobs![first + rank]!,
  }));
}
