/** Norms, rotation and the append to the cache. */
import type { AttentionShape, Placement, RotaryWeights } from "../../backend.ts";
import { KernelError } from "../../errors.ts";
import type { Defines, Dispatch, GpuTensor, PlanContext, Rotation } from "../dispatch.ts";
import { type GpuKvCache, kvStride, storedDefines } from "../kv_cache.ts";
import { bound, float, liveRows, single, updated, write } from "./operands.ts";

const HEAD_GROUP = 64;
const ROW_GROUP = 256;

/** What a rotation reads, as this backend knows it. */
interface Operands {
  readonly cache: GpuKvCache;
  readonly positions: GpuTensor;
  readonly sequences: GpuTensor;
  readonly pages: GpuTensor;
  readonly table: GpuTensor;
  readonly qNorm?: GpuTensor;
  readonly kNorm?: GpuTensor;
  readonly eps: number;
  /** Whether all heads of a kind are normed as one row. */
  readonly isRow: boolean;
}

/** Norms and rotates queries in place and keys, and appends keys and values to the cache. */
export function planRotateAppend(
  context: PlanContext,
  qkv: GpuTensor,
  cache: GpuKvCache,
  layer: number,
  shape: AttentionShape,
  rotary: RotaryWeights,
  placement: Placement,
): Dispatch[] {
  const operands = resolve(context, cache, shape, rotary, placement);
  const { heads, kvHeads, headDim } = shape;
  const { positions, sequences, pages, table, qNorm, kNorm, isRow } = operands;
  const { keys, values } = cache.layers[layer]!;
  const { count } = liveRows(qkv);
  const groups = isRow ? 3 : heads + 2 * kvHeads;
  const elements = (heads + 2 * kvHeads) * headDim;
  return [{
    label: "rotateAppend",
    kernel: "rotate_append",
    defines: definesOf(context, operands, shape),
    bindings: [
      updated(qkv),
      write({ buffer: keys }),
      write({ buffer: values }),
      ...[positions, sequences, pages, table].map(bound),
      ...[qNorm, kNorm].filter((norm) => norm !== undefined).map(bound),
    ],
    grid: (counts, into) => {
      into[0] = groups;
      into[1] = count(counts);
      into[2] = 1;
    },
    cost: (counts) => ({
      bytes: count(counts) * elements * 8,
      flops: count(counts) * elements * 4,
    }),
    ...(!isRow && { rotation: rotationOf(qkv, keys, operands) }),
  }];
}

function resolve(
  context: PlanContext,
  cache: GpuKvCache,
  { headDim }: AttentionShape,
  { table, qNorm, kNorm, eps }: RotaryWeights,
  { positions, sequences, pages }: Placement,
): Operands {
  return {
    cache,
    positions: context.resolve(positions),
    sequences: context.resolve(sequences),
    pages: context.resolve(pages),
    table: context.resolve(table),
    ...(qNorm && { qNorm: context.resolve(qNorm) }),
    ...(kNorm && { kNorm: context.resolve(kNorm) }),
    eps,
    isRow: qNorm !== undefined && qNorm.shape[0] !== headDim,
  };
}

function definesOf(
  context: PlanContext,
  { cache, pages: { shape: [sequences, sequencePages] }, qNorm, kNorm, eps, isRow }: Operands,
  { heads, kvHeads, headDim }: AttentionShape,
): Defines {
  const { pages, pageSize, dtype } = cache.spec;
  const span = isRow ? Math.max(heads, kvHeads) : 1;
  const group = isRow ? ROW_GROUP : HEAD_GROUP;
  const copies = dtype === "int8" ? 2 : 1;
  checkWorkgroupMemory(context, 4 * (copies * span * headDim + group));
  return {
    GROUP: `${group}u`,
    HEADS: `${heads}u`,
    KV_HEADS: `${kvHeads}u`,
    HEAD_DIM: `${headDim}u`,
    SPAN: `${span}u`,
    STRIDE: `${kvStride(cache.spec)}u`,
    PAGES: `${pages}u`,
    PAGE_SIZE: `${pageSize}u`,
    SEQUENCES: `${sequences}u`,
    SEQUENCE_PAGES: `${sequencePages}u`,
    ...storedDefines(cache.spec),
    PAIR: dtype === "f32" ? "vec2f" : "u32",
    NORMS: qNorm !== undefined || kNorm !== undefined,
    ROW_NORMS: isRow,
    QUERY_NORM: qNorm ? 8 : false,
    KEY_NORM: kNorm ? (qNorm ? 9 : 8) : false,
    EPS: float(eps),
  };
}

/** What attention needs to do the same itself. */
function rotationOf(
  qkv: GpuTensor,
  keys: GPUBuffer,
  { cache, pages, table, qNorm, kNorm, eps }: Operands,
): Rotation {
  const norm = (of: "query" | "key", weight: GpuTensor | undefined) =>
    weight ? [{ of, weight: bound(weight) }] : [];
  return {
    qkv: single(qkv),
    keys,
    table: bound(table),
    norms: [...norm("query", qNorm), ...norm("key", kNorm)],
    eps,
    pages: cache.spec.pages,
    sequences: pages.shape[0]!,
  };
}

function checkWorkgroupMemory({ device }: PlanContext, needed: number): void {
  const { maxComputeWorkgroupStorageSize: most } = device.limits;
  if (needed <= most) return;
  throw new KernelError(
    "Unsupported",
    `Cannot record rotateAppend, workgroups have at most ${most} bytes: ${needed}`,
  );
}
