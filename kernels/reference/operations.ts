/** Every operation as plainly as it can be written, accumulating in float64. */
import type { AttentionShape, RotaryWeights } from "../backend.ts";
import type { HostKvCache } from "./tensor.ts";

/** `x · weightᵀ` of one row: `into[i] = Σ x[k] weight[i, k]`, weight rows from `from` on. */
export function product(
  x: Float32Array,
  weight: Float32Array,
  rows: number,
  from = 0,
): Float64Array {
  const width = x.length;
  const result = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const start = (from + row) * width;
    let sum = 0;
    for (let k = 0; k < width; k++) sum += x[k]! * weight[start + k]!;
    result[row] = sum;
  }
  return result;
}

/** RMSNorm of one row, in place of `into`. */
export function rmsNorm(
  into: Float32Array,
  x: Float32Array,
  weight: Float32Array,
  eps: number,
): void {
  let squares = 0;
  for (const value of x) squares += value * value;
  const scale = 1 / Math.sqrt(squares / x.length + eps);
  for (let i = 0; i < x.length; i++) into[i] = x[i]! * scale * weight[i]!;
}

export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** `silu(gate) * up` of one row; `gateUp` rows from `from` on. */
export function swiglu(x: Float32Array, gateUp: Float32Array, ffn: number, from = 0): Float32Array {
  const both = product(x, gateUp, 2 * ffn, from);
  return Float32Array.from({ length: ffn }, (_, i) => silu(both[i]!) * both[ffn + i]!);
}

/** Rotates one head in place: pairs `(i, i + headDim/2)`. */
export function rotate(head: Float32Array, table: Float32Array, position: number): void {
  const half = head.length / 2;
  const start = position * head.length;
  for (let i = 0; i < half; i++) {
    const [cos, sin] = [table[start + i]!, table[start + half + i]!];
    const [a, b] = [head[i]!, head[half + i]!];
    head[i] = a * cos - b * sin;
    head[half + i] = b * cos + a * sin;
  }
}

/** Where a sequence's tokens lie: physical page of each logical page. */
export interface Sequence {
  readonly position: number;
  readonly pages: Int32Array;
}

/** Norms, rotates and appends one token's heads; `row` holds q heads, k heads, v heads. */
export function rotateAppend(
  row: Float32Array,
  cache: HostKvCache,
  layer: number,
  shape: AttentionShape,
  rotary:
    & { table: Float32Array; qNorm?: Float32Array; kNorm?: Float32Array }
    & Pick<RotaryWeights, "eps">,
  { position, pages }: Sequence,
): void {
  const { heads, kvHeads, headDim } = shape;
  const { pageSize } = cache.spec;
  const at = (head: number) => row.subarray(head * headDim, (head + 1) * headDim);
  normHeads(row.subarray(0, heads * headDim), rotary.qNorm, rotary.eps);
  normHeads(row.subarray(heads * headDim, (heads + kvHeads) * headDim), rotary.kNorm, rotary.eps);
  for (let head = 0; head < heads + kvHeads; head++) {
    rotate(at(head), rotary.table, position);
  }
  const page = pages[Math.floor(position / pageSize)]!;
  for (let head = 0; head < kvHeads; head++) {
    const offset = cache.offset(layer, page, position % pageSize, head);
    cache.keys.set(cache.rounded(at(heads + head)), offset);
    cache.values.set(cache.rounded(at(heads + kvHeads + head)), offset);
  }
}

/** Norms heads in pieces as long as the weight: one head each, or all as one row. */
function normHeads(heads: Float32Array, weight: Float32Array | undefined, eps: number): void {
  if (!weight) return;
  for (let from = 0; from < heads.length; from += weight.length) {
    const piece = heads.subarray(from, from + weight.length);
    rmsNorm(piece, piece.slice(), weight, eps);
  }
}

/** Attention of one head of one token. */
export function attend(
  into: Float32Array,
  query: Float32Array,
  cache: HostKvCache,
  layer: number,
  kvHead: number,
  { position, pages }: Sequence,
  window = Infinity,
): void {
  const { pageSize } = cache.spec;
  const first = Math.max(0, position + 1 - window);
  const offsets: number[] = [];
  for (let t = first; t <= position; t++) {
    offsets.push(cache.offset(layer, pages[Math.floor(t / pageSize)]!, t % pageSize, kvHead));
  }
  const weights = softmax(offsets.map((offset) => dot(query, cache.keys, offset)));
  into.fill(0);
  for (let i = 0; i < into.length; i++) {
    let sum = 0;
    offsets.forEach((offset, t) => sum += weights[t]! * cache.values[offset + i]!);
    into[i] = sum;
  }
}

function dot(query: Float32Array, keys: Float32Array, offset: number): number {
  let sum = 0;
  for (let i = 0; i < query.length; i++) sum += query[i]! * keys[offset + i]!;
  return sum / Math.sqrt(query.length);
}

/** Softmax of a list of scores. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(scores);
  const highest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] = Math.exp(values[i]! - highest);
  return values.map((value) => value / total);
}

/** Indices of the `k` highest values, best first; equal values by lower index. */
export function highest(values: ArrayLike<number>, k: number): number[] {
  const order = Array.from({ length: values.length }, (_, i) => i);
  return order.sort((a, b) => values[b]! - values[a]! || a - b).slice(0, k);
}
