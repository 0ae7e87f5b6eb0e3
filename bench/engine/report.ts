import { median } from "../harness.ts";
import type { Agreement } from "./agreement.ts";
import type { Samples } from "./measures.ts";
import type { NativeRates } from "./native.ts";
import type { EngineSubject } from "./subject.ts";

/** One measure of all engines, tokens per second; `null` is not measured. */
export interface Comparison {
  /** Medians. */
  readonly tandem: number | null;
  readonly rival: number | null;
  /** The rival by its `evaluate()` iterators, side by side. */
  readonly rival_natural: number | null;
  readonly ratio: number | null;
  readonly ratio_natural: number | null;
  readonly tandem_best: number | null;
  readonly rival_best: number | null;
  /** A native build of the rival. */
  readonly native: number | null;
}

/** Memory of one model's run, in 10^6 bytes. */
export interface MemoryReport {
  /** Peaks of resident memory. */
  readonly tandem: number | null;
  readonly rival: number | null;
  readonly weights: number;
  /** Of Tandem's cache as allocated. */
  readonly kv: number;
  /** What Tandem may take at most: 1.15 x (weights + KV) + 200. */
  readonly bound: number;
}

/** The figures of one model. */
export interface ModelReport {
  /** `dense` or `moe`, and how its matrices are stored. */
  readonly model: string;
  readonly dtype: string;
  readonly comparisons: Readonly<Record<string, Comparison>>;
  readonly agreement: Agreement | null;
  readonly memory: MemoryReport;
  /** What the rival says of the instructions that it uses. */
  readonly rivalSystem: string | null;
  /** 10^9 bytes of weights that a token at batch 1 reads. */
  readonly gigabytesPerToken: number;
}

/** The engines whose samples are compared; `null` where one did not run. */
export interface Engines {
  readonly tandem: EngineSubject | null;
  readonly rival: EngineSubject | null;
  readonly natural: EngineSubject | null;
}

/** Medians and bests of all engines' samples. */
export function compare(
  samples: Samples,
  { tandem, rival, natural }: Engines,
  native: NativeRates = {},
): Record<string, Comparison> {
  const of = (subject: EngineSubject | null, key: string) =>
    subject === null ? [] : samples.get(subject)?.get(key) ?? [];
  const keys = new Set([...samples.values()].flatMap((byKey) => [...byKey.keys()]));
  return Object.fromEntries(
    [...keys].map((key) => [key, {
      ...comparison(of(tandem, key), of(rival, key), of(natural, key)),
      native: rounded(native[key] ?? null),
    }]),
  );
}

function comparison(
  tandem: readonly number[],
  rival: readonly number[],
  natural: readonly number[],
): Omit<Comparison, "native"> {
  const [ours, theirs, naturally] = [median(tandem), median(rival), median(natural)];
  return {
    tandem: rounded(ours),
    rival: rounded(theirs),
    rival_natural: rounded(naturally),
    ratio: rounded(quotient(ours, theirs), 3),
    ratio_natural: rounded(quotient(ours, naturally), 3),
    tandem_best: rounded(best(tandem)),
    rival_best: rounded(best(rival)),
  };
}

function best(samples: readonly number[]): number | null {
  return samples.length === 0 ? null : Math.max(...samples);
}

/** `null` unless both are known. */
export function quotient(a: number | null, b: number | null): number | null {
  return a === null || b === null || b === 0 ? null : a / b;
}

/** To some digits after the point; `null` stays. */
export function rounded(value: number | null, digits = 1): number | null {
  return value === null ? null : Number(value.toFixed(digits));
}

const header = [
  "model",
  "measure",
  "tandem tok/s",
  "llama.cpp tok/s",
  "ratio",
  "best of each",
  "evaluate() tok/s",
  "native tok/s",
];

/** Rows for people. */
export function tableOf(reports: Readonly<Record<string, ModelReport>>): string[][] {
  const rows = Object.entries(reports).flatMap(([model, { comparisons }]) =>
    Object.entries(comparisons).map(([measure, c]) => [
      model,
      measure,
      cell(c.tandem),
      cell(c.rival),
      cell(c.ratio),
      `${cell(c.tandem_best)} / ${cell(c.rival_best)}`,
      cell(c.rival_natural),
      cell(c.native),
    ])
  );
  return [header, ...rows];
}

function cell(value: number | null): string {
  return value === null ? "-" : String(value);
}
