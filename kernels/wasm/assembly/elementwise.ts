/** Operations on rows of activations. */
import { Fault, Weight, Word } from "../opcodes";
import {
  address, ceilDiv, checked, liveRows, loadTail, madd, number, storeTail, sum4, word,
} from "./vector";
import { exp1, expRow } from "./exponential";
import { unpackFloatRow } from "./float_weights";
import { isQuantised } from "./layout";
import { unpackQuantRow } from "./quant_weights";

/** Columns of a chunk. */
const COLUMNS: i32 = 1024;

@inline
function rowOf(base: usize, row: i32, width: i32): usize {
  return base + ((<usize>row * <usize>width) << 2);
}

/** Embed: `Out` row t = row `X[t]` of `Weight`; `X[t]` = -1 - s stands for `P[s]`, s below `N`. */
export function embed(op: usize, row: i32): void {
  const weight = address(op, Word.Weight);
  let id = load<i32>(address(op, Word.X) + (<usize>row << 2));
  if (id < 0 && -1 - id < word(op, Word.N)) {
    id = load<i32>(address(op, Word.P) + (<usize>(-1 - id) << 2));
  }
  const index = checked(id, word(weight, Weight.N), Fault.TokenId);
  const matrix = address(weight, Weight.Data);
  const out = rowOf(address(op, Word.Out), row, word(weight, Weight.K));
  if (isQuantised(word(weight, Weight.Stored))) unpackQuantRow(weight, matrix, index, out);
  else unpackFloatRow(weight, matrix, index, out);
}

/** RMSNorm of one row of `n` floats; `out` may be `x`. */
export function normRow(out: usize, x: usize, weight: usize, n: i32, eps: f32): void {
  let a = f32x4.splat(0), b = f32x4.splat(0);
  let i = 0;
  for (; i + 8 <= n; i += 8) {
    const at = x + (<usize>i << 2);
    const v = v128.load(at), w = v128.load(at, 16);
    a = madd(v, v, a);
    b = madd(w, w, b);
  }
  let squares = sum4(f32x4.add(a, b));
  for (; i < n; i++) {
    const v = load<f32>(x + (<usize>i << 2));
    squares += v * v;
  }
  const scale = <f32>(1.0 / Math.sqrt(<f64>squares / <f64>n + <f64>eps));
  const scales = f32x4.splat(scale);
  for (i = 0; i + 4 <= n; i += 4) {
    const at = <usize>i << 2;
    v128.store(out + at, f32x4.mul(f32x4.mul(v128.load(x + at), scales), v128.load(weight + at)));
  }
  for (; i < n; i++) {
    const at = <usize>i << 2;
    store<f32>(out + at, load<f32>(x + at) * scale * load<f32>(weight + at));
  }
}

/** Norm: each of the `A` parts of `N` floats in a row of `X` to `Out`, times `Weight`; `Scale` is eps. */
export function planNorm(op: usize): i32 {
  return liveRows(op) * word(op, Word.A);
}

export function norm(op: usize, part: i32): void {
  const n = word(op, Word.N);
  const out = rowOf(address(op, Word.Out), part, n), x = rowOf(address(op, Word.X), part, n);
  normRow(out, x, address(op, Word.Weight), n, number(op, Word.Scale));
}

/** `out = gate / (1 + e^-gate) * up` of `n` floats. */
export function activateRow(out: usize, gate: usize, up: usize, n: i32): void {
  expRow(gate, out, n, -1.0, 0.0, 0);
  const one = f32x4.splat(1.0);
  let i = 0;
  for (; i + 8 <= n; i += 8) {
    const at = <usize>i << 2, g = gate + at, u = up + at, o = out + at;
    const v = f32x4.div(v128.load(g), f32x4.add(one, v128.load(o)));
    const w = f32x4.div(v128.load(g, 16), f32x4.add(one, v128.load(o, 16)));
    v128.store(o, f32x4.mul(v, v128.load(u)));
    v128.store(o, f32x4.mul(w, v128.load(u, 16)), 16);
  }
  for (; i < n; i++) {
    const at = <usize>i << 2;
    store<f32>(out + at, load<f32>(gate + at) / (<f32>1.0 + load<f32>(out + at)) * load<f32>(up + at));
  }
}

/** Ops over rows of `N` floats are cut into chunks of at most `COLUMNS` columns of one row. */
export function planColumns(op: usize): i32 {
  return liveRows(op) * ceilDiv(word(op, Word.N), COLUMNS);
}

/** Activate: `X` rows of `2 N` floats (gate, up) to `Out` rows of `N`. */
export function activate(op: usize, chunk: i32): void {
  const n = word(op, Word.N);
  const parts = ceilDiv(n, COLUMNS);
  const row = chunk / parts, from = (chunk % parts) * COLUMNS;
  const gate = rowOf(address(op, Word.X), row, 2 * n) + (<usize>from << 2);
  const out = rowOf(address(op, Word.Out), row, n) + (<usize>from << 2);
  activateRow(out, gate, gate + (<usize>n << 2), min(COLUMNS, n - from));
}

/** `out += scale * x` of `n` floats. */
export function addScaled(out: usize, x: usize, scale: f32, n: i32): void {
  const scales = f32x4.splat(scale);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const at = <usize>i << 2;
    v128.store(out + at, madd(v128.load(x + at), scales, v128.load(out + at)));
  }
  if (i < n) {
    const at = <usize>i << 2, count = n - i;
    storeTail(out + at, madd(loadTail(x + at, count), scales, loadTail(out + at, count)), count);
  }
}

/** Add: `Out += X`; AddGated: `Out += sigmoid(P) * X`. */
export function add(op: usize, chunk: i32): void {
  const n = word(op, Word.N);
  const parts = ceilDiv(n, COLUMNS);
  const row = chunk / parts, from = (chunk % parts) * COLUMNS;
  const gates = address(op, Word.P);
  const scale: f32 = gates
    ? <f32>1.0 / (<f32>1.0 + exp1(-load<f32>(gates + (<usize>row << 2))))
    : <f32>1.0;
  const offset = <usize>from << 2;
  addScaled(
    rowOf(address(op, Word.Out), row, n) + offset,
    rowOf(address(op, Word.X), row, n) + offset,
    scale,
    min(COLUMNS, n - from),
  );
}

/** Clear: `Out` rows of `N` words to zero. */
export function clear(op: usize, row: i32): void {
  const n = word(op, Word.N);
  memory.fill(rowOf(address(op, Word.Out), row, n), 0, <usize>n << 2);
}

/** Gather: `Out` row s = row `P[s]` of `X`, which has `A` rows. */
export function gather(op: usize, row: i32): void {
  const n = word(op, Word.N);
  const index = load<i32>(address(op, Word.P) + (<usize>row << 2));
  const from = checked(index, word(op, Word.A), Fault.RowIndex);
  memory.copy(
    rowOf(address(op, Word.Out), row, n),
    rowOf(address(op, Word.X), from, n),
    <usize>n << 2,
  );
}
