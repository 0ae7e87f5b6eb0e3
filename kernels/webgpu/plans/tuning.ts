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
  /** Vectors of four elements of each row that lie in shared memory at once. */
  readonly strip: number;
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
  /** Sets of so many threads in a workgroup, at most, where weights are streamed past several rows of x. */
  readonly sets: number;
  /** Weight rows that a set streams at once past several rows of x. */
  readonly rows: number;
  /** The same past a single row. */
  readonly rowsAlone: number;
  /** The same of weights of less than eight bits. */
  readonly narrowRowsAlone: number;
  /** Workgroups that fill the adapter: with fewer rows, each takes fewer, and shares them among more threads. */
  readonly groups: number;
  /** Units of a row that a thread reads before it uses them, where rows divide so. */
  readonly depth: number;
  /** Whether weights that are blocks of small integers are streamed past integers: 1, or 0 = past floats. */
  readonly packed: number;
  /** The same as `threads`, `sets`, `rows` and `rowsAlone`, in such products. */
  readonly packedThreads: number;
  readonly packedSets: number;
  readonly packedRows: number;
  readonly packedRowsAlone: number;
  /** The same as `fewRows`, where such products are streamed. */
  readonly packedFewRows: number;
  /** Bytes of activations that a workgroup of them turns into integers at once, about. */
  readonly packedBytes: number;
  /**
   * Tiles, from small to large. The largest is used that gives `tileGroups` workgroups, of those that there are rows
   * enough for.
   */
  readonly tiles: readonly (Tile & {
    /** Rows of x from which on it may be used. */
    readonly from: number;
  })[];
  /** Tiles of rows that go to one expert, likewise by the rows an expert gets. */
  readonly expertTiles: readonly Tile[];
  /** Workgroups of tiles that fill the adapter. */
  readonly tileGroups: number;
  /** Rows an expert gets on average from which on they are grouped. */
  readonly groupedRows: number;
  /** Rows an expert gets on average from which on their groups are multiplied in the smaller tiles. */
  readonly tiledRows: number;
  /** Rows an expert gets on average from which on their groups are multiplied in the larger tiles. */
  readonly largeTiledRows: number;
  /** The most bytes of a buffer of results by slot; steps of more tokens are taken in parts. */
  readonly expertBytes: number;
}

const tileNames = ["small", "medium", "large"] as const;
const expertTileNames = ["expert", "largeExpert"] as const;
type TileName = typeof tileNames[number] | typeof expertTileNames[number];

/** Found on an NVIDIA H100 through wgpu's Vulkan; other GPUs start from them. */
const defaults: Readonly<Record<string, number>> = {
  fewRows: 24,
  fewResults: 65536,
  streamedTile: 4,
  threads: 64,
  sets: 1,
  rows: 4,
  rowsAlone: 2,
  narrowRowsAlone: 4,
  groups: 256,
  depth: 1,
  packed: 1,
  packedThreads: 32,
  packedSets: 8,
  packedRows: 4,
  packedRowsAlone: 4,
  packedFewRows: 28,
  packedBytes: 16384,
  tileGroups: 128,
  smallFrom: 0,
  mediumFrom: 96,
  largeFrom: 128,
  ...named("small", { across: 8, down: 4, rows: 4, tokens: 8, slices: 4, strip: 4 }),
  ...named("medium", { across: 16, down: 8, rows: 4, tokens: 8, slices: 2, strip: 4 }),
  ...named("large", { across: 8, down: 16, rows: 8, tokens: 8, slices: 1, strip: 4 }),
  ...named("expert", { across: 16, down: 8, rows: 8, tokens: 4, slices: 1, strip: 4 }),
  ...named("largeExpert", { across: 16, down: 8, rows: 8, tokens: 8, slices: 1, strip: 4 }),
  groupedRows: 3,
  tiledRows: 11,
  largeTiledRows: 48,
  expertBytes: 256 * 2 ** 20,
};

const tiny = { across: 8, down: 8, rows: 2, tokens: 2, slices: 1, strip: 4 };

/** Adapters that compute on the CPU spend most of a short run on compiling: the shorter the kernels, the better. */
const software: Readonly<Record<string, number>> = {
  fewRows: 16,
  packedFewRows: 16,
  fewResults: 0,
  streamedTile: 1,
  sets: 1,
  rows: 2,
  narrowRowsAlone: 2,
  groups: 1,
  packed: 0,
  tileGroups: 1,
  mediumFrom: 0,
  largeFrom: 0,
  ...named("large", tiny),
  ...named("largeExpert", tiny),
  groupedRows: 4,
  tiledRows: 4,
  largeTiledRows: 4,
  attentionThreads: 32,
  attentionFours: 1,
  attentionUnroll: 1,
  attentionSharedFrom: 2 ** 30,
  samplerThreads: 64,
};

/** The constants that suit an adapter. */
export function tuningOf(info: Pick<GpuInfo, "software">): Readonly<Record<string, number>> {
  return info.software ? { ...defaults, ...software } : defaults;
}

/** What a context's constants say of matrices. */
export function matrixTuning({ tuning }: PlanContext): MatrixTuning {
  const all = { ...defaults, ...tuning };
  const tile = (name: TileName): Tile => ({
    across: all[`${name}Across`]!,
    down: all[`${name}Down`]!,
    rows: all[`${name}Rows`]!,
    tokens: all[`${name}Tokens`]!,
    slices: all[`${name}Slices`]!,
    strip: all[`${name}Strip`]!,
  });
  return {
    ...all as unknown as MatrixTuning,
    tiles: tileNames.map((name) => ({ ...tile(name), from: all[`${name}From`]! })),
    expertTiles: expertTileNames.map(tile),
  };
}

/** The constants of a tile. */
export function named(
  name: TileName,
  { across, down, rows, tokens, slices, strip }: Tile,
): Readonly<Record<string, number>> {
  return {
    [`${name}Across`]: across,
    [`${name}Down`]: down,
    [`${name}Rows`]: rows,
    [`${name}Tokens`]: tokens,
    [`${name}Slices`]: slices,
    [`${name}Strip`]: strip,
  };
}
