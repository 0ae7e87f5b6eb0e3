/** What every backend must do: registered for each of them by its own test file. */
import { attentionCases } from "./contract/attention.ts";
import { expertCases } from "./contract/experts.ts";
import { lifecycleCases, targetCases } from "./contract/lifecycle.ts";
import { type Case, matrixCases } from "./contract/matrices.ts";
import { quantisedCases, quantisedThreads } from "./contract/quantised.ts";
import { samplingCases } from "./contract/sampling.ts";
import type { ContractTarget } from "./contract/values.ts";

export type { ContractTarget } from "./contract/values.ts";

/** Registers the contract's tests for one backend. */
export function backendContract(target: ContractTarget): void {
  for (const [name, body] of cases) {
    Deno.test(`${name} [${target.name}]`, async () => {
      await using created = await target.create({ threads: target.threads.at(-1)! });
      await body(created.backend);
    });
  }
  targetCases(target);
  quantisedThreads(target);
}

const cases: readonly Case[] = [
  ...lifecycleCases,
  ...matrixCases,
  ...quantisedCases,
  ...attentionCases,
  ...expertCases,
  ...samplingCases,
];
