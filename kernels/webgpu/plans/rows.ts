/** Operations on rows: embedding, norms, rotation and the element-wise ones. */
import type { AttentionShape, Counts, Placement, RotaryWeights } from "../../backend.ts";
import { KernelError } from "../../errors.ts";
import type { Binding, Defines, Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { fold } from "../grid.ts";
import { type GpuKvCache, kvStride } from "../kv_cache.ts";
import { weightDefines } from "./weights.ts";

const GROUP = 256;
const ROTATE_GROUP = 64;

/** `out[t] = table[ids[t]]`: a dispatch a shard of the table. */
export function planEmbed(
  _context: PlanContext,
  out: GpuTensor,
  table: GpuTensor,
  ids: GpuTensor,
): Dispatch[] {
  const units = Math.ceil(width(out) / 4);
  return table.shards.map(({ buffer, first, count }) =>
    elementWise("embed", "embed", out, units, [{ buffer, access: "read" }, read(ids), write(out)], {
      ...weightDefines(table),
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
  const rows = (counts: Counts) => Math.ceil(live(x, counts) * each);
  return [{
    label: "rmsNorm",
    kernel: "rms_norm",
    defines: {
      GROUP: `${GROUP}u`,
      ROWS: each === 1 ? liveRows(x) : `(${liveRows(x)} * ${width(x)}u / ${dim}u)`,
      WIDTH: `${isVector ? dim / 4 : dim}u`,
      ELEMENTS: `${dim}.0`,
      EPS: float(eps),
      VECTOR: isVector,
      VALUE: isVector ? "vec4f" : "f32",
      IN_PLACE: isInPlace,
    },
    bindings: [write(out), read(weight), ...(isInPlace ? [] : [read(x)])],
    grid: (counts, into) => fold(into, rows(counts)),
    cost: (counts) => ({ bytes: 8 * rows(counts) * dim + 4 * dim, flops: 4 * rows(counts) * dim }),
    ...(each === 1 && !isInPlace &&
      { norm: { out: single(out), x: single(x), weight: single(weight), width: dim, eps } }),
  }];
}

/** Norms and rotates queries in place and keys, and appends keys and values to the cache. */
export function planRotateAppend(
  context: PlanContext,
  qkv: GpuTensor,
  cache: GpuKvCache,
  layer: number,
  { heads, kvHeads, headDim }: AttentionShape,
  rotary: RotaryWeights,
  placement: Placement,
): Dispatch[] {
  const { pages, pageSize, dtype } = cache.spec;
  const { keys, values } = cache.layers[layer]!;
  const [positions, sequences, tables, table] = [
    placement.positions,
    placement.sequences,
    placement.pages,
    rotary.table,
  ].map((tensor) => context.resolve(tensor)) as [GpuTensor, GpuTensor, GpuTensor, GpuTensor];
  const norms = [rotary.qNorm, rotary.kNorm].map((norm) => norm && context.resolve(norm));
  const [qNorm, kNorm] = norms;
  const isRow = qNorm !== undefined && qNorm.shape[0] !== headDim;
  const span = isRow ? Math.max(heads, kvHeads) : 1;
  checkWorkgroupMemory(context, "rotateAppend", 4 * span * headDim);
  const groups = isRow ? 3 : heads + 2 * kvHeads;
  const elements = (heads + 2 * kvHeads) * headDim;
  return [{
    label: "rotateAppend",
    kernel: "rotate_append",
    defines: {
      GROUP: `${isRow ? GROUP : ROTATE_GROUP}u`,
      HEADS: `${heads}u`,
      KV_HEADS: `${kvHeads}u`,
      HEAD_DIM: `${headDim}u`,
      SPAN: `${span}u`,
      STRIDE: `${kvStride(cache.spec)}u`,
      PAGES: `${pages}u`,
      PAGE_SIZE: `${pageSize}u`,
      SEQUENCES: `${tables.shape[0]}u`,
      SEQUENCE_PAGES: `${tables.shape[1]}u`,
      HALVES: dtype === "f16",
      PAIR: dtype === "f16" ? "u32" : "vec2f",
      NORMS: qNorm !== undefined || kNorm !== undefined,
      ROW_NORMS: isRow,
      QUERY_NORM: qNorm ? 8 : false,
      KEY_NORM: kNorm ? (qNorm ? 9 : 8) : false,
      EPS: float(rotary.eps),
    },
    bindings: [
      write(qkv),
      { buffer: keys, access: "write" },
      { buffer: values, access: "write" },
      read(positions),
      read(sequences),
      read(tables),
      read(table),
      ...[qNorm, kNorm].filter((norm) => norm !== undefined).map(read),
    ],
    grid: (counts, into) => {
      into[0] = groups;
      into[1] = live(qkv, counts);
      into[2] = 1;
    },
    cost: (counts) => ({
      bytes: live(qkv, counts) * elements * 8,
      flops: live(qkv, counts) * elements * 4,
    }),
    ...(!isRow && {
      rotation: {
        qkv: single(qkv),
        keys,
        table: read(table),
        norms: [
          ...(qNorm ? [{ of: "query" as const, weight: read(qNorm) }] : []),
          ...(kNorm ? [{ of: "key" as const, weight: read(kNorm) }] : []),
        ],
        eps: rotary.eps,
        pages,
        sequences: tables.shape[0]!,
      },
    }),
  }];
}

/** `out += x`. */
export function planAdd(_context: PlanContext, out: GpuTensor, x: GpuTensor): Dispatch[] {
  const isInPlace = single(out) === single(x);
  const bindings = isInPlace ? [write(out)] : [write(out), read(x)];
  return [vectors("add", "add", out, bindings, { IN_PLACE: isInPlace })];
}

/** `out += sigmoid(gate) * x`. */
export function planAddGated(
  _context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  gate: GpuTensor,
): Dispatch[] {
  return [vectors("addGated", "add_gated", out, [write(out), read(x), read(gate)], {})];
}

/** `out = 0`. */
export function planClear(_context: PlanContext, out: GpuTensor): Dispatch[] {
  return [elementWise("clear", "clear", out, width(out), [write(out)], {})];
}

/** `out[s] = x[indices[s]]`. */
export function planGather(
  _context: PlanContext,
  out: GpuTensor,
  x: GpuTensor,
  indices: GpuTensor,
): Dispatch[] {
  const bindings = [write(out), read(x), read(indices)];
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
  const bytes = 4 * width(out) * bindings.length;
  return {
    label,
    kernel,
    defines: { GROUP: `${GROUP}u`, ROWS: liveRows(out), WIDTH: `${units}u`, ...defines },
    bindings,
    grid: (counts, into) => fold(into, Math.ceil(live(out, counts) * units / GROUP)),
    cost: (counts) => ({ bytes: live(out, counts) * bytes, flops: live(out, counts) * width(out) }),
  };
}

/** The live rows of a tensor as the kernel knows them. */
function liveRows({ rows, shape }: GpuTensor): string {
  return rows ? `step.${rows}` : `${shape[0]}u`;
}

function live({ rows, shape }: GpuTensor, counts: Counts): number {
  return rows ? counts[rows] : shape[0]!;
}

function width({ shape }: GpuTensor): number {
  return shape.slice(1).reduce((product, size) => product * size, 1);
}

function read(tensor: GpuTensor): Binding {
  return { buffer: single(tensor), access: "read" };
}

function write(tensor: GpuTensor): Binding {
  return { buffer: single(tensor), access: "write" };
}

/** The buffer of a tensor that must have only one. */
function single({ label, shards }: GpuTensor): GPUBuffer {
  const [shard, ...rest] = shards;
  if (rest.length === 0) return shard!.buffer;
  throw new KernelError("Unsupported", `Cannot bind ${label} at once, buffers: ${shards.length}`);
}

/** A number as a WGSL literal. */
function float(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function checkWorkgroupMemory({ device }: PlanContext, op: string, bytes: number): void {
  const { maxComputeWorkgroupStorageSize: most } = device.limits;
  const needed = bytes + 4 * GROUP;
  if (needed <= most) return;
  throw new KernelError(
    "Unsupported",
    `Cannot record ${op}, workgroups have at most ${most} bytes: ${needed}`,
  );
}
