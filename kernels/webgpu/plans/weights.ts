/**
 * How weights lie in device memory: rows of whole 16-byte vectors, so that threads read 16 bytes at once. Blocks
 * of q8_0 and q4_0 are gathered in groups of eight, their scales in front, and the parts of q6_k set apart;
 * `wgsl/weights_*.wgsl` describe each.
 */
import type { DType, WeightDType } from "../../backend.ts";
import { byteLength, elements, isWeightDType } from "../../dtype.ts";
import { KernelError } from "../../errors.ts";
import type { Defines, Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { fold } from "../grid.ts";

const VECTOR_BYTES = 16;
const GROUP = 256;
/** Rows are arranged in multiples of so many: both their stored and arranged bytes are then aligned to 256. */
const CHUNK_ROWS = 128;
const CHUNK_BYTES = 16 * 2 ** 20;

/** Elements that a row is padded to a multiple of, and the vectors that they take. */
const groups: Readonly<
  Record<WeightDType, { readonly elements: number; readonly vectors: number }>
> = {
  f32: { elements: 4, vectors: 1 },
  f16: { elements: 8, vectors: 1 },
  bf16: { elements: 8, vectors: 1 },
  q8_0: { elements: 256, vectors: 17 },
  q4_0: { elements: 256, vectors: 9 },
  q4_k: { elements: 256, vectors: 9 },
  q6_k: { elements: 256, vectors: 14 },
};

/** Dtypes whose blocks do not lie in vectors as they are stored. */
const regrouped: ReadonlySet<WeightDType> = new Set(["q8_0", "q4_0", "q6_k"]);

/** Runs of 16 elements in a unit, for the dtypes that `wgsl/gemv_packed.wgsl` takes. */
const packedUnits: Readonly<Partial<Record<DType, number>>> = { q8_0: 1, q4_0: 2, q4_k: 2 };

/** How many runs of 16 elements a unit has where products may be in integers; else nothing. */
export function packedUnitsOf(dtype: DType): number | undefined {
  return packedUnits[dtype];
}

/** Bytes of device memory that `count` rows of `shape[0]` take, stored or arranged. */
export function shardBytes(dtype: DType, shape: readonly number[], count: number): number {
  const stored = byteLength(dtype, [count, ...shape.slice(1)]);
  if (!isWeightDType(dtype) || shape.length < 2) return stored;
  const rows = count * elements(shape.slice(1, -1));
  return Math.max(stored, rows * rowVectors(dtype, shape.at(-1)!) * VECTOR_BYTES);
}

/** Bytes of one arranged row. */
export function rowBytes(dtype: WeightDType, k: number): number {
  return rowVectors(dtype, k) * VECTOR_BYTES;
}

/** Elements of a row with its padding. */
export function paddedElements(dtype: WeightDType, k: number): number {
  const group = groups[dtype].elements;
  return Math.ceil(k / group) * group;
}

/** What `weights.wgsl` needs to know of a weight whose rows have `k` elements. */
export function weightDefines({ label, dtype, shape }: GpuTensor): Defines {
  if (!isWeightDType(dtype)) {
    throw new KernelError("InvalidShape", `Cannot multiply by ${label}, not a weight: ${dtype}`);
  }
  const k = shape.at(-1)!;
  return { [`WEIGHT_${dtype.toUpperCase()}`]: true, ROW_VECTORS: rowVectors(dtype, k), K: k };
}

/** Arranges a loaded weight, once; nothing where rows lie as they should. */
export function planSeal(context: PlanContext, tensor: GpuTensor): Dispatch[] {
  const { dtype, shape } = tensor;
  if (!isWeightDType(dtype) || shape.length < 2 || isArranged(dtype, shape.at(-1)!)) return [];
  const matrix = elements(shape.slice(1, -1));
  return tensor.shards.flatMap(({ buffer, count, part }) =>
    arrangeRows(context, tensor, dtype, buffer, part?.count ?? count * matrix)
  );
}

/** From the last rows to the first: arranged rows are no shorter, so none covers stored ones still needed. */
function arrangeRows(
  context: PlanContext,
  tensor: GpuTensor,
  dtype: WeightDType,
  buffer: GPUBuffer,
  rows: number,
): Dispatch[] {
  const k = tensor.shape.at(-1)!;
  const arranged = rowBytes(dtype, k);
  const stored = byteLength(dtype, [k]);
  const each = Math.max(1, Math.floor(CHUNK_BYTES / arranged / CHUNK_ROWS)) * CHUNK_ROWS;
  const scratch = context.scratch("arrange", vectorBytes(Math.min(each, rows) * stored));
  const defines = { ...weightDefines(tensor), GROUP };
  const dispatches: Dispatch[] = [];
  for (let first = (Math.ceil(rows / each) - 1) * each; first >= 0; first -= each) {
    const count = Math.min(each, rows - first);
    const from = { buffer, offset: first * stored, size: vectorBytes(count * stored) };
    const to = { buffer, offset: first * arranged, size: count * arranged };
    dispatches.push(
      vectors(tensor, "copy", { GROUP }, { buffer: scratch, size: from.size }, from),
      vectors(tensor, "arrange", defines, to, { buffer: scratch, size: from.size }),
    );
  }
  return dispatches;
}

/** Part of a buffer. */
interface Range {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly size: number;
}

/** A dispatch with an invocation for each vector of `to`. */
function vectors(
  { label }: GpuTensor,
  kernel: string,
  defines: Defines,
  to: Range,
  from: Range,
): Dispatch {
  return {
    label: `${kernel} ${label}`,
    kernel,
    defines,
    bindings: [{ ...to, access: "write" }, { ...from, access: "read" }],
    grid: (_counts, into) => fold(into, Math.ceil(to.size / VECTOR_BYTES / GROUP)),
    cost: () => ({ bytes: to.size + from.size, flops: 0 }),
  };
}

function isArranged(dtype: WeightDType, k: number): boolean {
  return !regrouped.has(dtype) && k % groups[dtype].elements === 0;
}

function rowVectors(dtype: WeightDType, k: number): number {
  return Math.ceil(k / groups[dtype].elements) * groups[dtype].vectors;
}

function vectorBytes(bytes: number): number {
  return Math.ceil(bytes / VECTOR_BYTES) * VECTOR_BYTES;
}

/** Units of a row: what one thread reads at once. */
export function unitsOf(dtype: WeightDType, k: number): number {
  const { vectors, elements: each } = groups[dtype];
  return Math.ceil(k / each) * (vectors === 1 ? 1 : dtype === "q8_0" ? 16 : 8);
}
