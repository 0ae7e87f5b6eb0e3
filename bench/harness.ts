/** What a bench is: it checks its output, times it, and returns figures for a table and for JSON. */
export interface Bench {
  readonly name: string;
  readonly description: string;
  /** Runs the bench. Progress goes to `options.log`; the figures come back as plain JSON. */
  run(options: BenchOptions): Promise<BenchReport>;
}

/** How a bench is asked to run. */
export interface BenchOptions {
  /** Fewer rounds and smaller shapes: to see that it works, not to quote. */
  readonly quick: boolean;
  /** The arguments after the bench's name that the harness did not use. */
  readonly args: readonly string[];
  readonly log: (line: string) => void;
}

/** Figures: `null` means not measured, never 0. */
export interface BenchReport {
  /** Rows for people: the first is the header. */
  readonly table: readonly (readonly string[])[];
  /** One JSON object for machines. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** The median of a list of samples; `null` of none. */
export function median(samples: readonly number[]): number | null {
  if (samples.length === 0) return null;
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle]!;
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
}
