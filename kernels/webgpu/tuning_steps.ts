/** What is tried to find the constants of an adapter. */
import type { WeightDType } from "../backend.ts";
import { named } from "./plans/mod.ts";

/** Constants by name. */
export type Tuning = Readonly<Record<string, number>>;

/** Products of `rows` rows with several weights of each shape, too many for a cache. */
export interface TuningWorkload {
  /** Its name in reports. */
  readonly name: string;
  /** Live rows. */
  readonly rows: number;
  /** Dtypes of the weights. */
  readonly dtypes: readonly WeightDType[];
  /** `[n, k]` of the weights. */
  readonly shapes: readonly (readonly [n: number, k: number])[];
  /** Weights of each shape. */
  readonly copies: number;
}

/** Some constants that are chosen together. */
export interface TuningStep {
  readonly workload: TuningWorkload;
  readonly candidates: readonly Tuning[];
}

const streamed = {
  dtypes: ["f16", "q8_0", "q4_0", "q4_k"],
  shapes: [[4096, 4096], [14336, 4096], [4096, 14336]],
  copies: 2,
} as const;
const tiled = { dtypes: ["f16", "q8_0"], shapes: [[4096, 4096]], copies: 1 } as const;

const alone = { name: "decode of 1", rows: 1, ...streamed };
const several = { name: "decode of 8", rows: 8, ...streamed };
const blocks = ["q8_0", "q4_0", "q4_k"] as const;
/**
 * In the order in which they are taken; the first candidate of a step is what is built in. From which rows on products
 * are tiled is not among them: what single products favour made whole models up to a third slower.
 */
export const tuningSteps: readonly TuningStep[] = [
  {
    workload: { ...alone, dtypes: ["f16"] },
    candidates: [64, 32, 128].flatMap((threads) =>
      [2, 1, 4].map((rowsAlone) => ({ threads, rowsAlone }))
    ),
  },
  { workload: { ...alone, dtypes: ["f16"] }, candidates: [1, 2].map((depth) => ({ depth })) },
  {
    workload: { ...several, dtypes: blocks },
    candidates: [
      { packed: 1, packedThreads: 32, packedSets: 8 },
      { packed: 1, packedThreads: 32, packedSets: 4 },
      { packed: 1, packedThreads: 64, packedSets: 4 },
      { packed: 0 },
    ],
  },
  {
    workload: { ...alone, dtypes: blocks },
    candidates: [4, 2].flatMap((packedRowsAlone) =>
      [4, 2].map((narrowRowsAlone) => ({ packedRowsAlone, narrowRowsAlone }))
    ),
  },
  {
    workload: { ...several, dtypes: ["f16", "q8_0"] },
    candidates: [4, 2, 8].flatMap((rows) => [4, 8].map((streamedTile) => ({ rows, streamedTile }))),
  },
  {
    workload: { name: "prefill of 512", rows: 512, ...tiled },
    candidates: [
      { across: 8, down: 16, rows: 8, tokens: 8, slices: 1, strip: 4 },
      { across: 16, down: 8, rows: 8, tokens: 8, slices: 1, strip: 4 },
      { across: 8, down: 8, rows: 8, tokens: 8, slices: 1, strip: 4 },
      { across: 16, down: 8, rows: 4, tokens: 8, slices: 1, strip: 4 },
      { across: 16, down: 16, rows: 4, tokens: 4, slices: 1, strip: 4 },
    ].map((tile) => named("large", tile)),
  },
];
