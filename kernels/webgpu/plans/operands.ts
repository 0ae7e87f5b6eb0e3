/** What dispatches bind, and the rows that they work on. */
import type { Counts } from "../../backend.ts";
import { KernelError } from "../../errors.ts";
import type { Binding, Dispatch, GpuTensor } from "../dispatch.ts";

/** Rows of which a run says how many are live. */
export interface LiveRows {
  /** How many, as a kernel reads it. */
  readonly wgsl: string;
  /** The most there can be. */
  readonly capacity: number;
  /** How many there are. */
  readonly count: (counts: Counts) => number;
}

/** The live rows of an activation. */
export function liveRows({ rows, shape }: GpuTensor): LiveRows {
  const capacity = shape[0]!;
  if (!rows) return { wgsl: `${capacity}u`, capacity, count: () => capacity };
  return { wgsl: `step.${rows}`, capacity, count: (counts) => counts[rows] };
}

/** Rows of which each of `rows` has `each`. */
export function times(rows: LiveRows, each: number): LiveRows {
  return {
    wgsl: `(${rows.wgsl} * ${each}u)`,
    capacity: rows.capacity * each,
    count: (counts) => rows.count(counts) * each,
  };
}

/** Those of `rows` from `first` on, at most `most`. */
export function part(rows: LiveRows, first: number, most: number): LiveRows {
  const capacity = Math.min(most, rows.capacity - first);
  return {
    wgsl: `min(max(${rows.wgsl}, ${first}u) - ${first}u, ${capacity}u)`,
    capacity,
    count: (counts) => Math.min(Math.max(rows.count(counts) - first, 0), capacity),
  };
}

/** The buffer of a tensor that must have only one. */
export function single({ label, shards }: GpuTensor): GPUBuffer {
  const [shard, ...rest] = shards;
  if (rest.length === 0) return shard!.buffer;
  throw new KernelError("Unsupported", `Cannot bind ${label} at once, buffers: ${shards.length}`);
}

/** Part of a buffer. */
export type Range = Omit<Binding, "access">;

/** Binds for reading. */
export function read(range: Range): Binding {
  return { ...range, access: "read" };
}

/** Binds for reading and writing. */
export function write(range: Range): Binding {
  return { ...range, access: "write" };
}

/** Binds a whole tensor for reading. */
export function bound(tensor: GpuTensor): Binding {
  return read({ buffer: single(tensor) });
}

/** Binds a whole tensor for reading and writing. */
export function updated(tensor: GpuTensor): Binding {
  return write({ buffer: single(tensor) });
}

/** A number as a WGSL literal. */
export function float(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A dispatch that does nothing unless `from` to `to` of `rows` are live. */
export function within(
  rows: LiveRows,
  from: number,
  to: number,
  dispatch: Dispatch,
): Dispatch {
  const applies = (counts: Counts) => {
    const count = rows.count(counts);
    return count >= from && count <= to;
  };
  const { normed } = dispatch;
  return {
    ...dispatch,
    ...(normed && {
      normed: (norm) => {
        const fused = normed(norm);
        return fused && within(rows, from, to, fused);
      },
    }),
    grid: (counts, into) => {
      if (applies(counts)) dispatch.grid(counts, into);
      else into.fill(0);
    },
    cost: (counts) => applies(counts) ? dispatch.cost(counts) : { bytes: 0, flops: 0 },
  };
}
