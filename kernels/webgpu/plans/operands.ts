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

/** The live rows of an activation, each `times` over. */
export function liveRows({ rows, shape }: GpuTensor, times = 1): LiveRows {
  const capacity = shape[0]! * times;
  if (!rows) return { wgsl: `${capacity}u`, capacity, count: () => capacity };
  return {
    wgsl: times === 1 ? `step.${rows}` : `(step.${rows} * ${times}u)`,
    capacity,
    count: (counts) => counts[rows] * times,
  };
}

/** The buffer of a tensor that must have only one. */
export function single({ label, shards }: GpuTensor): GPUBuffer {
  const [shard, ...rest] = shards;
  if (rest.length === 0) return shard!.buffer;
  throw new KernelError("Unsupported", `Cannot bind ${label} at once, buffers: ${shards.length}`);
}

/** Binds a buffer for reading. */
export function read(buffer: GPUBuffer): Binding {
  return { buffer, access: "read" };
}

/** Binds a buffer for reading and writing. */
export function write(buffer: GPUBuffer): Binding {
  return { buffer, access: "write" };
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
  return {
    ...dispatch,
    grid: (counts, into) => {
      if (applies(counts)) dispatch.grid(counts, into);
      else into.fill(0);
    },
    cost: (counts) => applies(counts) ? dispatch.cost(counts) : { bytes: 0, flops: 0 },
  };
}
