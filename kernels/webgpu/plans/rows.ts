/** Operations on rows: embedding, norms and the element-wise ones. */
import type { Counts } from "../../backend.ts";
import { elements } from "../../dtype.ts";
import type { Binding, Defines, Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { fold } from "../grid.ts";
import { bound, float, liveRows, single, updated } from "./operands.ts";
import { weightDefines } from "./weights.ts";

const GROUP = 256;

/** `out[t] = table[ids[t]]`, or `table[sampled[-1 - ids[t]]]`: a dispatch a shard of the table. */
export function planEmbed(
  _context: PlanContext,
  out: GpuTensor,
  table: GpuTensor,
  ids: GpuTensor,
  sampled?: GpuTensor,
): Dispatch[] {
  const units = Math.ceil(width(out) / 4);
  return table.shards.map(({ buffer, first, count }) =>
    elementWise("embed", "embed", out, units, [
      { buffer, access: "read" },
      bound(ids),
      updated(out),
      ...(sampled ? [bound(sampled)] : []),
    ], {
      ...weightDefines(table),
      SAMPLES: sampled !== undefined && `${sampled.shape[0]}u`,
      FIRST: `${first}u`,
      COUNT: `${count}u`,
      VOCABULARY: `${table.shape[0]}u`,
    })
  );
}

/** RMSNorm of every row of the last dimension: a workgroup each. */
export function planRmsNorm(
  _context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  weight: GpuTensor,
  eps: number,
): Dispatch[] {
  const dim = x.shape.at(-1)!;
  const isVector = dim % 4 === 0;
  const isInPlace = single(out) === single(x);
  const each = x.shape.length > 1 ? width(x) / dim : 1 / dim;
  const live = liveRows(x);
  const rows = (counts: Counts) => Math.ceil(live.count(counts) * each);
  return [{
    label: "rmsNorm",
    kernel: "rms_norm",
    defines: {
      GROUP: `${GROUP}u`,
      ROWS: each === 1 ? live.wgsl : `(${live.wgsl} * ${width(x)}u / ${dim}u)`,
      WIDTH: `${isVector ? dim / 4 : dim}u`,
      ELEMENTS: `${dim}.0`,
      EPS: float(eps),
      VECTOR: isVector,
      VALUE: isVector ? "vec4f" : "f32",
      IN_PLACE: isInPlace,
    },
    bindings: [updated(out), bound(weight), ...(isInPlace ? [] : [bound(x)])],
    grid: (counts, into) => fold(into, rows(counts)),
    cost: (counts) => ({ bytes: 8 * rows(counts) * dim + 4 * dim, flops: 4 * rows(counts) * dim }),
    ...(each === 1 && !isInPlace &&
      { norm: { out: single(out), x: single(x), weight: single(weight), width: dim, eps } }),
  }];
}

/** `out += x`. */
export function planAdd(_context: PlanContext, out: GpuTensor, x: GpuTensor): Dispatch[] {
  const isInPlace = single(out) === single(x);
  const bindings = isInPlace ? [updated(out)] : [updated(out), bound(x)];
  return [vectors("add", "add", out, bindings, { IN_PLACE: isInPlace })];
}

/** `out += sigmoid(gate) * x`. */
export function planAddGated(
  _context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  gate: GpuTensor,
): Dispatch[] {
  return [vectors("addGated", "add_gated", out, [updated(out), bound(x), bound(gate)], {})];
}

/** `out = 0`. */
export function planClear(_context: PlanContext, out: GpuTensor): Dispatch[] {
  return [elementWise("clear", "clear", out, width(out), [updated(out)], {})];
}

/** `out[s] = x[indices[s]]`. */
export function planGather(
  _context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  indices: GpuTensor,
): Dispatch[] {
  const bindings = [updated(out), bound(x), bound(indices)];
  return [vectors("gather", "gather", out, bindings, { SOURCE_ROWS: `${x.shape[0]}u` })];
}

/** An element-wise dispatch over four elements at once where rows allow. */
function vectors(
  label: string,
  kernel: string,
  out: GpuTensor,
  bindings: readonly Binding[],
  defines: Defines,
): Dispatch {
  const isVector = width(out) % 4 === 0;
  const VALUE = isVector ? "vec4f" : "f32";
  const units = isVector ? width(out) / 4 : width(out);
  return elementWise(label, kernel, out, units, bindings, { ...defines, VALUE });
}

/** A dispatch with an invocation for each of the `units` of each live row of `out`. */
function elementWise(
  label: string,
  kernel: string,
  out: GpuTensor,
  units: number,
  bindings: readonly Binding[],
  defines: Defines,
): Dispatch {
  const { wgsl, count } = liveRows(out);
  const [bytes, flops] = [4 * width(out) * bindings.length, width(out)];
  return {
    label,
    kernel,
    defines: { GROUP: `${GROUP}u`, ROWS: wgsl, WIDTH: `${units}u`, ...defines },
    bindings,
    grid: (counts, into) => fold(into, Math.ceil(count(counts) * units / GROUP)),
    cost: (counts) => ({ bytes: count(counts) * bytes, flops: count(counts) * flops }),
  };
}

function width({ shape }: GpuTensor): number {
  return elements(shape.slice(1));
}
