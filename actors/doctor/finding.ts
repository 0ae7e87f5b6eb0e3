/** How a checked part of the machine is: fit, fit with a drawback, unfit, or not asked for. */
export type Verdict = "ok" | "warning" | "problem" | "skipped";

/** What was found of one part of the machine. */
export interface Finding {
  /** The part: `cpu`, `gpu`, … */
  readonly part: string;
  readonly verdict: Verdict;
  /** What it is, in one line. */
  readonly summary: string;
  /** Lines of facts below the summary. */
  readonly details: readonly string[];
  /** What to do about it; absent when there is nothing to do. */
  readonly advice?: string;
  /** The same facts for programs; what could not be measured is `null`. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The first line of an error's message. */
export function reasonOf(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0]!;
}
