/**
 * Rotary embedding and attention over a paged cache. A block of the cache belongs to one layer, page and
 * key head: keys `[headDim][slots]`, so that 4 positions are scored per vector, then values
 * `[slots][dims]`; slots and dims are the page size and head dimension rounded up to 8.
 */
import { Fault, Stored, Word } from "../opcodes";
import { address, checked, exp1, exp4, liveRows, madd, max4, number, scratch, sum4, word } from "./vector";
import { normRow } from "./elementwise";

/** Words: `X` qkv, `K` headDim, `A` heads, `B` kvHeads, `C` page size, `D` pages, `E` layer,
 * `P` positions, `Q` sequences, `R` page tables, `S` cache, `N` pages of a table, `Scale` eps,
 * `Flags` dtype of the cache, `Weight` rotary table, `Bias` q norm, `T` k norm, `Width` whether they norm whole rows, `U` limit of positions or
 * window, `V` limit of sequences. */

@inline
function roundUp8(value: i32): i32 {
  return (value + 7) & ~7;
}

@inline
function cacheWidth(op: usize): i32 {
  return word(op, Word.Flags) == Stored.F32 ? 2 : 1;
}

/** Address of the block of a layer, physical page and key head. */
function block(op: usize, page: i32, head: i32): usize {
  const slots = roundUp8(word(op, Word.C)), dim = word(op, Word.K);
  const bytes = <usize>(slots * (dim + roundUp8(dim))) << cacheWidth(op);
  const index = (word(op, Word.E) * word(op, Word.D) + page) * word(op, Word.B) + head;
  return address(op, Word.S) + <usize>index * bytes;
}

function pageOf(op: usize, sequence: i32, position: i32): i32 {
  const slot = sequence * word(op, Word.N) + position / word(op, Word.C);
  const page = load<i32>(address(op, Word.R) + (<usize>slot << 2));
  return checked(page, word(op, Word.D), Fault.Page);
}

function positionOf(op: usize, token: i32, limit: i32): i32 {
  const position = load<i32>(address(op, Word.P) + (<usize>token << 2));
  return checked(position, min(limit, word(op, Word.N) * word(op, Word.C)), Fault.Position);
}

function sequenceOf(op: usize, token: i32): i32 {
  const sequence = load<i32>(address(op, Word.Q) + (<usize>token << 2));
  return checked(sequence, word(op, Word.V), Fault.Sequence);
}

/** float32 to float16, to nearest even; too large values become the largest finite one. */
function toHalf(value: f32): u16 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x477fe000) return <u16>(sign | 0x7bff);
  if (magnitude < 0x38800000) {
    const shifted = reinterpret<f32>(magnitude) + <f32>0.5;
    return <u16>(sign | (reinterpret<u32>(shifted) - 0x3f000000));
  }
  return <u16>(sign | ((magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13));
}

@inline
function storeCached(stored: i32, at: usize, index: i32, value: f32): void {
  if (stored == Stored.F32) store<f32>(at + (<usize>index << 2), value);
  else store<u16>(at + (<usize>index << 1), toHalf(value));
}

@inline
function loadCached(stored: i32, at: usize, index: i32): v128 {
  if (stored == Stored.F32) return v128.load(at + (<usize>index << 2));
  const raw = i32x4.shl(v128.load16x4_s(at + (<usize>index << 1)), 13);
  return f32x4.mul(v128.and(raw, i32x4.splat(0x8fffe000)), f32x4.splat(5.192296858534828e33));
}

function rotateHead(head: usize, angles: usize, half: i32): void {
  const second = <usize>half << 2;
  let i = 0;
  for (; i + 4 <= half; i += 4) {
    const at = head + (<usize>i << 2);
    const cos = v128.load(angles + (<usize>i << 2)), sin = v128.load(angles + (<usize>i << 2) + second);
    const a = v128.load(at), b = v128.load(at + second);
    v128.store(at, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
    v128.store(at + second, f32x4.add(f32x4.mul(b, cos), f32x4.mul(a, sin)));
  }
  for (; i < half; i++) {
    const at = head + (<usize>i << 2);
    const cos = load<f32>(angles + (<usize>i << 2)), sin = load<f32>(angles + (<usize>i << 2) + second);
    const a = load<f32>(at), b = load<f32>(at + second);
    store<f32>(at, a * cos - b * sin);
    store<f32>(at + second, b * cos + a * sin);
  }
}

/** Norms heads one by one, or as one row where `Width` says so. */
function normHeads(op: usize, row: usize, weight: usize, heads: i32): void {
  if (!weight) return;
  const dim = word(op, Word.K), eps = number(op, Word.Scale);
  if (word(op, Word.Width)) return normRow(row, row, weight, heads * dim, eps);
  for (let h = 0; h < heads; h++) {
    const head = row + ((<usize>h * <usize>dim) << 2);
    normRow(head, head, weight, dim, eps);
  }
}

/** Rotate: norms and rotates one token's query and key heads in place, appends keys and values. */
export function rotate(op: usize, token: i32): void {
  const dim = word(op, Word.K), heads = word(op, Word.A), kvHeads = word(op, Word.B);
  const row = address(op, Word.X) + ((<usize>token * <usize>((heads + 2 * kvHeads) * dim)) << 2);
  const position = positionOf(op, token, word(op, Word.U));
  const angles = address(op, Word.Weight) + ((<usize>position * <usize>dim) << 2);
  const keys = row + ((<usize>(heads * dim)) << 2);
  normHeads(op, row, address(op, Word.Bias), heads);
  normHeads(op, keys, address(op, Word.T), kvHeads);
  for (let h = 0; h < heads + kvHeads; h++) {
    rotateHead(row + ((<usize>h * <usize>dim) << 2), angles, dim >> 1);
  }
  append(op, keys, pageOf(op, sequenceOf(op, token), position), position);
}

function append(op: usize, keys: usize, page: i32, position: i32): void {
  const dim = word(op, Word.K), kvHeads = word(op, Word.B), stored = word(op, Word.Flags);
  const slots = roundUp8(word(op, Word.C)), slot = position % word(op, Word.C);
  for (let h = 0; h < kvHeads; h++) {
    const at = block(op, page, h);
    const key = keys + ((<usize>(h * dim)) << 2), value = key + ((<usize>(kvHeads * dim)) << 2);
    const values = slots * dim + slot * roundUp8(dim);
    for (let d = 0; d < dim; d++) {
      storeCached(stored, at, d * slots + slot, load<f32>(key + (<usize>d << 2)));
      storeCached(stored, at, values + d, load<f32>(value + (<usize>d << 2)));
    }
  }
}

/** Scores of 8 slots for `count` (1, 2 or 4) queries that lie `dim` floats apart. */
@inline
function scores(
  stored: i32, count: i32, query: usize, dim: i32, keys: usize, slots: i32, out: usize, outStride: usize,
): void {
  let a0 = f32x4.splat(0), b0 = f32x4.splat(0), a1 = f32x4.splat(0), b1 = f32x4.splat(0);
  let a2 = f32x4.splat(0), b2 = f32x4.splat(0), a3 = f32x4.splat(0), b3 = f32x4.splat(0);
  const stride = <usize>dim << 2;
  for (let d = 0; d < dim; d++) {
    const a = loadCached(stored, keys, d * slots), b = loadCached(stored, keys, d * slots + 4);
    const at = query + (<usize>d << 2);
    let q = v128.load32_splat(at);
    a0 = madd(q, a, a0);
    b0 = madd(q, b, b0);
    if (count > 1) {
      q = v128.load32_splat(at + stride);
      a1 = madd(q, a, a1);
      b1 = madd(q, b, b1);
    }
    if (count > 2) {
      q = v128.load32_splat(at + 2 * stride);
      a2 = madd(q, a, a2);
      b2 = madd(q, b, b2);
      q = v128.load32_splat(at + 3 * stride);
      a3 = madd(q, a, a3);
      b3 = madd(q, b, b3);
    }
  }
  v128.store(out, a0);
  v128.store(out, b0, 16);
  if (count > 1) {
    v128.store(out + outStride, a1);
    v128.store(out + outStride, b1, 16);
  }
  if (count > 2) {
    v128.store(out + 2 * outStride, a2);
    v128.store(out + 2 * outStride, b2, 16);
    v128.store(out + 3 * outStride, a3);
    v128.store(out + 3 * outStride, b3, 16);
  }
}

/** Adds probability-weighted values of slots `from` to `to` to 8 dims of `count` accumulators. */
@inline
function mix(
  stored: i32, count: i32, acc: usize, accStride: usize, weights: usize, weightStride: usize,
  values: usize, dims: i32, from: i32, to: i32,
): void {
  let a0 = v128.load(acc), b0 = v128.load(acc, 16);
  let a1 = a0, b1 = b0, a2 = a0, b2 = b0, a3 = a0, b3 = b0;
  if (count > 1) {
    a1 = v128.load(acc + accStride);
    b1 = v128.load(acc + accStride, 16);
  }
  if (count > 2) {
    a2 = v128.load(acc + 2 * accStride);
    b2 = v128.load(acc + 2 * accStride, 16);
    a3 = v128.load(acc + 3 * accStride);
    b3 = v128.load(acc + 3 * accStride, 16);
  }
  for (let s = from; s < to; s++) {
    const a = loadCached(stored, values, s * dims), b = loadCached(stored, values, s * dims + 4);
    const at = weights + (<usize>s << 2);
    let p = v128.load32_splat(at);
    a0 = madd(p, a, a0);
    b0 = madd(p, b, b0);
    if (count > 1) {
      p = v128.load32_splat(at + weightStride);
      a1 = madd(p, a, a1);
      b1 = madd(p, b, b1);
    }
    if (count > 2) {
      p = v128.load32_splat(at + 2 * weightStride);
      a2 = madd(p, a, a2);
      b2 = madd(p, b, b2);
      p = v128.load32_splat(at + 3 * weightStride);
      a3 = madd(p, a, a3);
      b3 = madd(p, b, b3);
    }
  }
  v128.store(acc, a0);
  v128.store(acc, b0, 16);
  if (count > 1) {
    v128.store(acc + accStride, a1);
    v128.store(acc + accStride, b1, 16);
  }
  if (count > 2) {
    v128.store(acc + 2 * accStride, a2);
    v128.store(acc + 2 * accStride, b2, 16);
    v128.store(acc + 3 * accStride, a3);
    v128.store(acc + 3 * accStride, b3, 16);
  }
}

/** Turns scores of slots `from` to `to` into weights, rescales the accumulator; state is (max, sum). */
function soften(weights: usize, from: i32, to: i32, state: usize, acc: usize, dims: i32): void {
  const first = from & ~7, last = roundUp8(to);
  for (let s = first; s < from; s++) store<f32>(weights + (<usize>s << 2), -Infinity);
  for (let s = to; s < last; s++) store<f32>(weights + (<usize>s << 2), -Infinity);
  const before = load<f32>(state);
  let highest = f32x4.splat(before);
  for (let s = first; s < last; s += 4) highest = f32x4.max(highest, v128.load(weights + (<usize>s << 2)));
  const top = max4(highest);
  const shift = f32x4.splat(top);
  let total = f32x4.splat(0);
  for (let s = first; s < last; s += 4) {
    const at = weights + (<usize>s << 2);
    const e = exp4(f32x4.sub(v128.load(at), shift));
    v128.store(at, e);
    total = f32x4.add(total, e);
  }
  const keep = exp1(before - top);
  store<f32>(state, top);
  store<f32>(state, load<f32>(state, 4) * keep + sum4(total), 4);
  const keeps = f32x4.splat(keep);
  for (let d = 0; d < dims; d += 4) {
    const at = acc + (<usize>d << 2);
    v128.store(at, f32x4.mul(v128.load(at), keeps));
  }
}

/** One page for `group` query heads: scores, running softmax, weighted values. */
@inline
function attendPage(
  stored: i32, at: usize, query: usize, acc: usize, weights: usize, state: usize,
  group: i32, dim: i32, slots: i32, from: i32, to: i32,
): void {
  const dims = roundUp8(dim);
  const width: usize = stored == Stored.F32 ? 2 : 1;
  const row = <usize>slots << 2, accRow = <usize>dims << 2, queryRow = <usize>dim << 2;
  for (let h = 0; h < group;) {
    const count = group - h >= 4 ? 4 : group - h >= 2 ? 2 : 1;
    const q = query + <usize>h * queryRow, w = weights + <usize>h * row;
    for (let s = from & ~7; s < to; s += 8) {
      const keys = at + (<usize>s << width), out = w + (<usize>s << 2);
      if (count == 4) scores(stored, 4, q, dim, keys, slots, out, row);
      else if (count == 2) scores(stored, 2, q, dim, keys, slots, out, row);
      else scores(stored, 1, q, dim, keys, slots, out, row);
    }
    for (let i = 0; i < count; i++) {
      soften(w + <usize>i * row, from, to, state + (<usize>(h + i) << 3), acc + <usize>(h + i) * accRow, dims);
    }
    for (let d = 0; d < dims; d += 8) {
      const values = at + (<usize>(slots * dim + d) << width);
      const a = acc + <usize>h * accRow + (<usize>d << 2);
      if (count == 4) mix(stored, 4, a, accRow, w, row, values, dims, from, to);
      else if (count == 2) mix(stored, 2, a, accRow, w, row, values, dims, from, to);
      else mix(stored, 1, a, accRow, w, row, values, dims, from, to);
    }
    h += count;
  }
}

function attendPageF32(
  at: usize, query: usize, acc: usize, weights: usize, state: usize,
  group: i32, dim: i32, slots: i32, from: i32, to: i32,
): void {
  attendPage(Stored.F32, at, query, acc, weights, state, group, dim, slots, from, to);
}

function attendPageF16(
  at: usize, query: usize, acc: usize, weights: usize, state: usize,
  group: i32, dim: i32, slots: i32, from: i32, to: i32,
): void {
  attendPage(Stored.F16, at, query, acc, weights, state, group, dim, slots, from, to);
}

export function planAttend(op: usize): i32 {
  return liveRows(op) * word(op, Word.B);
}

/** Attend: one token and key head, all query heads that share it. */
export function attend(op: usize, item: i32, thread: i32): void {
  const dim = word(op, Word.K), heads = word(op, Word.A), kvHeads = word(op, Word.B);
  const group = heads / kvHeads, size = word(op, Word.C);
  const token = item / kvHeads, head = item % kvHeads;
  const slots = roundUp8(size), dims = roundUp8(dim);
  const query = scratch(thread);
  const acc = query + (<usize>(group * dims) << 2);
  const weights = acc + (<usize>(group * dims) << 2);
  const state = weights + (<usize>(group * slots) << 2);
  const from = address(op, Word.X) + ((<usize>token * <usize>((heads + 2 * kvHeads) * dim) + <usize>(head * group * dim)) << 2);
  prepare(query, from, acc, state, group, dim, dims);
  const position = positionOf(op, token, i32.MAX_VALUE), sequence = sequenceOf(op, token);
  const window = word(op, Word.U);
  let first = window > 0 ? max(0, position + 1 - window) : 0;
  while (first <= position) {
    const next = min(position + 1, (first / size + 1) * size);
    const slot = first % size, last = slot + (next - first);
    const at = block(op, pageOf(op, sequence, first), head);
    if (word(op, Word.Flags) == Stored.F32) {
      attendPageF32(at, query, acc, weights, state, group, dim, slots, slot, last);
    } else attendPageF16(at, query, acc, weights, state, group, dim, slots, slot, last);
    first = next;
  }
  const out = address(op, Word.Out) + ((<usize>token * <usize>(heads * dim) + <usize>(head * group * dim)) << 2);
  deliver(out, acc, state, group, dim, dims);
}

function prepare(query: usize, from: usize, acc: usize, state: usize, group: i32, dim: i32, dims: i32): void {
  const scale = <f32>(1.0 / Math.sqrt(<f64>dim));
  for (let i = 0; i < group * dim; i++) {
    store<f32>(query + (<usize>i << 2), load<f32>(from + (<usize>i << 2)) * scale);
  }
  memory.fill(acc, 0, <usize>(group * dims) << 2);
  for (let h = 0; h < group; h++) {
    store<f32>(state + (<usize>h << 3), -1e30);
    store<f32>(state + (<usize>h << 3), 0, 4);
  }
}

function deliver(out: usize, acc: usize, state: usize, group: i32, dim: i32, dims: i32): void {
  for (let h = 0; h < group; h++) {
    const inverse = <f32>1.0 / load<f32>(state + (<usize>h << 3), 4);
    for (let d = 0; d < dim; d++) {
      store<f32>(out + (<usize>(h * dim + d) << 2), load<f32>(acc + (<usize>(h * dims + d) << 2)) * inverse);
    }
  }
}
