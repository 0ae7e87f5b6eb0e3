/** Kernels as data: plans say what to dispatch, the host makes pipelines and bind groups of it, once. */
import type { Counts, Tensor } from "../backend.ts";

/** One compute dispatch of a program. */
export interface Dispatch {
  /** The operation, in messages and profiles. */
  readonly label: string;
  /** Its file in `wgsl/`, without extension; the entry point is `main`. */
  readonly kernel: string;
  /** Constants of the preprocessor; with `kernel`, the key of its pipeline. */
  readonly defines: Defines;
  /** `@group(0) @binding(i + 1)`; binding 0 is the uniform `Step { tokens: u32, samples: u32 }`. */
  readonly bindings: readonly Binding[];
  /** Writes the workgroup counts for the live rows; any of them 0 = nothing to do. Must not allocate. */
  readonly grid: (counts: Counts, into: Grid) => void;
  /** What the kernel moves and computes at least, for benches. */
  readonly cost: (counts: Counts) => Cost;
  /** The norm that it computes, if that is all it does. */
  readonly norm?: Norm;
  /** The same, of rows that it norms itself; absent or nothing = it cannot. */
  readonly normed?: (norm: Norm) => Dispatch | undefined;
  /** How it rotates and appends rows for attention, if that is all it does. */
  readonly rotation?: Rotation;
  /**
   * In runs of distinct tokens: the same of rows that it rotates and appends itself; `idle` = it does nothing
   * then. Absent or nothing = it cannot.
   */
  readonly rotated?: "idle" | ((rotation: Rotation) => Dispatch | undefined);
}

/** Norms and rotates queries and keys of `qkv`, and appends keys and values. */
export interface Rotation {
  /** f32 rows of query, key and value heads. */
  readonly qkv: GPUBuffer;
  /** Where keys are appended. */
  readonly keys: GPUBuffer;
  /** Cosines and sines of every position. */
  readonly table: Binding;
  /** Weights of the norms of every head that come before. */
  readonly norms: readonly { readonly of: "query" | "key"; readonly weight: Binding }[];
  /** Added to the mean square by the norms. */
  readonly eps: number;
  /** Pages of the cache. */
  readonly pages: number;
  /** Rows of page tables. */
  readonly sequences: number;
}

/** RMSNorm of whole rows: `out = x / sqrt(mean(x²) + eps) * weight`. */
export interface Norm {
  /** f32 rows of `width`. */
  readonly out: GPUBuffer;
  /** f32 rows of `width`. */
  readonly x: GPUBuffer;
  /** f32 `[width]`. */
  readonly weight: GPUBuffer;
  /** Elements of a row. */
  readonly width: number;
  /** Added to the mean square. */
  readonly eps: number;
}

/** Constants of the preprocessor: `#define`s of a kernel. */
export type Defines = Readonly<Record<string, number | boolean | string>>;

/** Workgroups in x, y and z. */
export type Grid = Uint32Array;

/** Bytes moved and floating-point operations of one dispatch. */
export interface Cost {
  /** Bytes read and written at least once. */
  readonly bytes: number;
  /** Multiplications and additions. */
  readonly flops: number;
}

/** A storage buffer as a kernel sees it. One dispatch must not bind a buffer for reading and for writing. */
export interface Binding {
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** First byte; a multiple of `minStorageBufferOffsetAlignment`. Absent = 0. */
  readonly offset?: number;
  /** Bytes; absent = to the end. */
  readonly size?: number;
  /** `read` = `var<storage, read>`, `write` = `var<storage, read_write>`. */
  readonly access: "read" | "write";
}

/** Some rows of a tensor in one buffer, below the binding limit. */
export interface Shard {
  /** Holds the rows as the weight's layout says. */
  readonly buffer: GPUBuffer;
  /** First row: of `shape[0]`, also for stacks of matrices. */
  readonly first: number;
  /** How many rows. */
  readonly count: number;
  /** Of a matrix of a stack that is too large for one buffer: these of its rows alone. `count` is then 1. */
  readonly part?: { readonly first: number; readonly count: number };
}

/** A tensor of this backend. Activations and tables have one shard. */
export interface GpuTensor extends Tensor {
  /** In the order of rows. */
  readonly shards: readonly Shard[];
}

/** What plans may rely on. */
export interface PlanContext {
  /** The device, for limits and features. */
  readonly device: GPUDevice;
  /** Subgroup operations may be used; `enable subgroups;` is emitted by the preprocessor where needed. */
  readonly subgroups: boolean;
  /** `enable f16;` may be used. */
  readonly f16: boolean;
  /** Constants tuned for this adapter. */
  readonly tuning: Readonly<Record<string, number>>;
  /** A buffer of at least `bytes` that dispatches of one name may overwrite. */
  scratch(name: string, bytes: number): GPUBuffer;
  /** The backend's own view of a handle; throws for foreign handles. */
  resolve(tensor: Tensor): GpuTensor;
}
