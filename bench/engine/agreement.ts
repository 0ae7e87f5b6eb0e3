import type { LlamaCpp } from "./rival.ts";
import type { TandemProcess } from "./tandem_process.ts";

/** How far apart the rival's first two logits must be for its choice to count. */
const leastMargin = 0.02;

/** On how many prompts the engines were compared; `unsure` ones were too close to call. */
export interface Agreement {
  readonly agreed: number;
  readonly unsure: number;
}

/**
 * Compares greedy next tokens. Throws on the first sure one that differs; what counts as sure may be
 * given, for weights that both engines round in their own ways.
 */
export async function checkAgreement(
  tandem: Pick<TandemProcess, "nextToken"> | null,
  rival: Pick<LlamaCpp, "sureToken">,
  prompts: readonly number[][],
  sure: number = leastMargin,
): Promise<Agreement> {
  let agreed = 0, unsure = 0;
  for (const prompt of prompts) {
    const { token, margin } = await rival.sureToken(prompt);
    const answer = await tandem?.nextToken(prompt) ?? token;
    if (answer === token) agreed++;
    else if (margin < sure) unsure++;
    else {
      throw new Error(
        `Cannot compare speed, engines disagree after ${prompt.length} tokens: ` +
          `${answer} and ${token} (margin ${margin.toFixed(3)})`,
      );
    }
  }
  return { agreed, unsure };
}
