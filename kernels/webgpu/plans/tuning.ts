/** Constants of the matrix kernels that suit one adapter and not another. */
import type { PlanContext } from "../dispatch.ts";
import type { GpuInfo } from "../gpu.ts";

/** Threads of a `gemm.wgsl` workgroup, and what each of them computes. */
export interface Tile {
  /** Threads along the weight's rows. */
  readonly across: number;
  /** Threads along rows of x. */
  readonly down: number;
  /** Weight rows a thread. */
  readonly rows: number;
  /** Rows of x a thread. */
  readonly tokens: number;
  /** Times as many threads, which share out the sums. */
  readonly slices: number;
}

/** What the plans of matrices go by. */
export interface MatrixTuning {
  /** Most live rows for which weights are streamed past them in any case, rather than multiplied in tiles. */
  readonly fewRows: number;
  /** Results of so few rows of a narrow weight are streamed, too: tiles of them would not fill the adapter. */
  readonly fewResults: number;
  /** Rows of x past which a workgroup streams weights at once: at most 1, 4 or 8. */
  readonly streamedTile: number;
  /** Threads that share a streamed row, at most. */
  readonly threads: number;
  /** Weight rows that a workgroup streams at once. */
  readonly rows: number;
  /** Workgroups that fill the adapter: with fewer rows, each takes fewer, and shares them among more threads. */
  readonly groups: number;
  /** Units of a row that a thread reads before it uses them, where rows divide so. */
  readonly depth: number;
  /** The tile of many rows. */
  readonly tile: Tile;
  /** The tile where there would be fewer than {@link groups} of that. */
  readonly smallTile: Tile;
  /** Rows an expert gets on average from which on they are grouped. */
  readonly groupedRows: number;
  /** Rows an expert gets on average from which on their groups are multiplied in tiles. */
  readonly tiledRows: number;
  /** The most bytes of a buffer of results by slot; steps of more tokens are taken in parts. */
  readonly expertBytes: number;
}

/** Names of {@link PlanContext.tuning} and what they are where it does not say. */
const defaults = {
  fewRows: 8,
  fewResults: 600_000,
  streamedTile: 4,
  threads: 64,
  rows: 4,
  groups: 256,
  depth: 1,
  tileAcross: 16,
  tileDown: 8,
  tileRows: 8,
  tileTokens: 8,
  tileSlices: 1,
  smallAcross: 16,
  smallDown: 8,
  smallRows: 4,
  smallTokens: 8,
  smallSlices: 1,
  groupedRows: 1,
  tiledRows: 32,
  expertBytes: 256 * 2 ** 20,
} as const;

/** Adapters that compute on the CPU spend most of a short run on compiling: the shorter the kernels, the better. */
const software = {
  fewRows: 16,
  fewResults: 0,
  streamedTile: 1,
  rows: 2,
  groups: 1,
  tileAcross: 8,
  tileRows: 2,
  tileTokens: 2,
  smallAcross: 8,
  smallRows: 2,
  smallTokens: 2,
  groupedRows: 4,
  tiledRows: 4,
  attentionThreads: 32,
  samplerThreads: 64,
} as const;

/** The constants that suit an adapter. */
export function tuningOf(info: Pick<GpuInfo, "software">): Readonly<Record<string, number>> {
  return info.software ? { ...defaults, ...software } : defaults;
}

/** What a context's constants say of matrices. */
export function matrixTuning({ tuning }: PlanContext): MatrixTuning {
  const { tileAcross, tileDown, tileRows, tileTokens, tileSlices, ...all } = {
    ...defaults,
    ...tuning,
  };
  const { smallAcross, smallDown, smallRows, smallTokens, smallSlices, ...rest } = all;
  return {
    ...rest,
    tile: tileOf(tileAcross, tileDown, tileRows, tileTokens, tileSlices),
    smallTile: tileOf(smallAcross, smallDown, smallRows, smallTokens, smallSlices),
  };
}

function tileOf(
  across: number,
  down: number,
  rows: number,
  tokens: number,
  slices: number,
): Tile {
  return { across, down, rows, tokens, slices };
}
