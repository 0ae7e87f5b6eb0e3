import { type StepResult, TOP_LOGPROBS } from "../../kernels/mod.ts";
import type { SampledToken } from "../replica_protocol.ts";

/** What a step's result does not tell of a token. */
export interface TokenFacts {
  /** Alternatives to report. */
  readonly alternatives: number;
  /** Requests that run and wait at the replica. */
  readonly queue: number;
  /** Why the generation ends with it; absent = it goes on. */
  readonly finish: SampledToken["finish"] | undefined;
}

/** The token in a row of a step's result. */
export function sampledToken(
  result: StepResult,
  row: number,
  { alternatives, queue, finish }: TokenFacts,
): SampledToken {
  return {
    id: result.sampled[row]!,
    logprob: result.stats[row * 4]!,
    margin: result.stats[row * 4 + 1]!,
    entropy: result.stats[row * 4 + 2]!,
    queue,
    ...(alternatives > 0 && { top: topOf(result, row * TOP_LOGPROBS, alternatives) }),
    ...(finish && { finish }),
  };
}

function topOf({ topTokens, topLogprobs }: StepResult, first: number, count: number) {
  return Array.from({ length: count }, (_, rank) => ({
    id: topTokens![first + rank]!,
    logprob: topLogprobs![first + rank]!,
  }));
}
