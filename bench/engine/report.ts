import { median } from "../harness.ts";
import type { Agreement } from "./agreement.ts";
import type { Samples } from "./measures.ts";
import type { EngineSubject } from "./subject.ts";

/** One measure of both engines, tokens per second; `null` is not measured. */
export interface Comparison {
  readonly tandem: number | null;
  readonly rival: number | null;
  readonly ratio: number | null;
  readonly tandem_best: number | null;
  readonly rival_best: number | null;
}

/** The figures of one model. */
export interface ModelReport {
  readonly comparisons: Readonly<Record<string, Comparison>>;
  readonly agreement: Agreement;
  readonly peakBytes: { readonly tandem: number | null; readonly rival: number | null };
}

/** Medians and bests of both engines' samples. */
export function compare(
  samples: Samples,
  tandem: EngineSubject | null,
  rival: EngineSubject,
): Record<string, Comparison> {
  const ofRival = samples.get(rival)!;
  const ofTandem = tandem === null ? undefined : samples.get(tandem);
  return Object.fromEntries(
    [...ofRival].map(([key, rates]) => [key, comparison(ofTandem?.get(key) ?? [], rates)]),
  );
}

function comparison(tandem: readonly number[], rival: readonly number[]): Comparison {
  const [ours, theirs] = [median(tandem), median(rival)];
  return {
    tandem: rounded(ours),
    rival: rounded(theirs),
    ratio: ours === null || theirs === null ? null : rounded(ours / theirs, 3),
    tandem_best: rounded(best(tandem)),
    rival_best: rounded(best(rival)),
  };
}

function best(samples: readonly number[]): number | null {
  return samples.length === 0 ? null : Math.max(...samples);
}

function rounded(value: number | null, digits = 1): number | null {
  return value === null ? null : Number(value.toFixed(digits));
}

/** Rows for people. */
export function tableOf(reports: Readonly<Record<string, ModelReport>>): string[][] {
  const header = ["model", "measure", "tandem tok/s", "llama.cpp tok/s", "ratio", "best of each"];
  const rows = Object.entries(reports).flatMap(([model, { comparisons }]) =>
    Object.entries(comparisons).map(([measure, c]) => [
      model,
      measure,
      cell(c.tandem),
      cell(c.rival),
      cell(c.ratio),
      `${cell(c.tandem_best)} / ${cell(c.rival_best)}`,
    ])
  );
  return [header, ...rows];
}

/** One model's part of the JSON. */
export function jsonOf(report: ModelReport): Record<string, unknown> {
  return {
    ...report.comparisons,
    agreement: report.agreement,
    peak_bytes: report.peakBytes,
  };
}

function cell(value: number | null): string {
  return value === null ? "-" : String(value);
}
