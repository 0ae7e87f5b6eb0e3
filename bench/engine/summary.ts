import { promptTokens } from "./measures.ts";
import { type Comparison, type ModelReport, quotient, rounded } from "./report.ts";

/** One line of the JSON's `rows`; `null` is not measured. */
export interface SummaryRow {
  readonly model: string;
  readonly dtype: string;
  readonly batch: number;
  /** Tokens of each sequence's prompt. */
  readonly prompt: number;
  /** Tandem's rate by the rival's. */
  readonly prefill_ratio: number | null;
  readonly decode_ratio: number | null;
  readonly decode_tok_s: number | null;
  readonly rival_decode_tok_s: number | null;
  /** Bytes of weights that a token reads, by the bytes that a plain kernel reads in the same time. */
  readonly bandwidth_fraction: number | null;
  /** Peak of Tandem's resident memory, over all rows of the model. */
  readonly rss_mb: number | null;
}

/** Every figure that a bar is set for, each the worst of its kind. */
export interface Summary {
  readonly rows: readonly SummaryRow[];
  /** Over Q8_0 and mixtures of experts. */
  readonly min_decode_ratio_b1: number | null;
  readonly f16_decode_ratio_b1: number | null;
  readonly min_decode_ratio_b8: number | null;
  readonly min_decode_ratio_b32: number | null;
  readonly min_prefill_ratio: number | null;
  readonly min_bandwidth_fraction: number | null;
}

/** The summary of all models; `bandwidth` in GB/s. */
export function summarise(reports: readonly ModelReport[], bandwidth: number | null): Summary {
  const rows = reports.flatMap((report) => rowsOf(report, bandwidth));
  const isDenseF16 = ({ model, dtype }: SummaryRow) => model === "dense" && dtype === "F16";
  const decode = (batch: number, which: (row: SummaryRow) => boolean = () => true) =>
    least(rows.filter((row) => row.batch === batch && which(row)).map((row) => row.decode_ratio));
  return {
    rows,
    min_decode_ratio_b1: decode(1, (row) => !isDenseF16(row)),
    f16_decode_ratio_b1: decode(1, isDenseF16),
    min_decode_ratio_b8: decode(8),
    min_decode_ratio_b32: decode(32),
    min_prefill_ratio: least(rows.map((row) => row.prefill_ratio)),
    min_bandwidth_fraction: least(rows.map((row) => row.bandwidth_fraction)),
  };
}

function rowsOf(report: ModelReport, bandwidth: number | null): SummaryRow[] {
  const { model, dtype, comparisons, memory, gigabytesPerToken } = report;
  const row = (batch: number, prompt: number, decode?: Comparison, prefill?: Comparison) => {
    const reads = batch === 1 && decode?.tandem ? decode.tandem * gigabytesPerToken : null;
    return {
      ...{ model, dtype, batch, prompt },
      prefill_ratio: prefill?.ratio ?? null,
      decode_ratio: decode?.ratio ?? null,
      decode_tok_s: decode?.tandem ?? null,
      rival_decode_tok_s: decode?.rival ?? null,
      bandwidth_fraction: rounded(quotient(reads, bandwidth), 3),
      rss_mb: memory.tandem,
    };
  };
  const { decode_b1, decode_b8, decode_b32, prefill_128, prefill_512 } = comparisons;
  return [
    row(1, promptTokens, decode_b1, prefill_128),
    row(1, 512, undefined, prefill_512),
    row(8, promptTokens, decode_b8),
    row(32, promptTokens, decode_b32),
  ];
}

function least(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.min(...known);
}
