/** Sealing a weight: its rows are rearranged into panels in place, and 16-bit floats made cheap to widen. */
import { Stored, Weight, Word } from "../opcodes";
import { address, scratch, word } from "./vector";

/** Place of row `r` of 8 in a panel's column: 16-bit rows 0 to 3 are low halves, 4 to 7 high halves. */
@inline
function place(stored: i32, r: i32): i32 {
  if (stored == Stored.F32) return r;
  return r < 4 ? r << 1 : ((r - 4) << 1) | 1;
}

@inline
function log2Width(stored: i32): i32 {
  return stored == Stored.F32 ? 2 : 1;
}

/** An f16 pattern as the float32 with the same fields: the value times 2^-112, exact. */
@inline
function widen(half: u32): f32 {
  return reinterpret<f32>(((half & 0x7fff) << 13) | ((half & 0x8000) << 16));
}

/** Seal: `Flags` 0 finds the largest magnitude of an f16 `Weight`, 1 sets its scales, 2 packs it. */
export function planSeal(op: usize): i32 {
  const weight = address(op, Word.Weight);
  const pass = word(op, Word.Flags);
  if (pass == 1) setScales(weight);
  if (pass == 1 || (pass == 0 && word(weight, Weight.Stored) != Stored.F16)) return 0;
  return word(weight, Weight.Matrices) * ((word(weight, Weight.N) + 7) >> 3);
}

export function seal(op: usize, chunk: i32, thread: i32): void {
  const weight = address(op, Word.Weight);
  const n = word(weight, Weight.N);
  const count = (n + 7) >> 3;
  const k = word(weight, Weight.K);
  const width = log2Width(word(weight, Weight.Stored));
  const from = address(weight, Weight.Data) +
    <usize>(chunk / count) * address(weight, Weight.Bytes) +
    ((<usize>(chunk % count) * <usize>k << 3) << width);
  const bytes = (<usize>k << 3) << width;
  if (word(op, Word.Flags) == 0) return findLargest(weight, from, bytes);
  const to = scratch(thread);
  packPanel(weight, from, to, k);
  memory.copy(from, to, bytes);
}

function findLargest(weight: usize, from: usize, bytes: usize): void {
  let largest = i16x8.splat(0);
  const mask = i16x8.splat(0x7fff);
  for (let i: usize = 0; i < bytes; i += 16) {
    largest = i16x8.max_s(largest, v128.and(v128.load(from + i), mask));
  }
  const high = i16x8.max_s(largest, i8x16.shuffle(largest, largest, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  const pair = i16x8.max_s(high, i8x16.shuffle(high, high, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3));
  const value = max(i16x8.extract_lane_s(pair, 0), i16x8.extract_lane_s(pair, 1));
  const slot = weight + Weight.Largest * 4;
  for (;;) {
    const seen = atomic.load<i32>(slot);
    if (value <= seen || atomic.cmpxchg<i32>(slot, seen, value) == seen) return;
  }
}

/**
 * f16 values are kept times 2^shift, as large as they allow up to 2^10: then no subnormals are left, which
 * cost an assist each. Widened, they are times 2^(shift - 112); activations are scaled by 2^64 so that
 * products stay in range, results by the rest.
 */
function setScales(weight: usize): void {
  store<f32>(weight + Weight.InScale * 4, 1.0);
  store<f32>(weight + Weight.OutScale * 4, 1.0);
  if (word(weight, Weight.Stored) != Stored.F16) return;
  const shift = scaleShift(weight);
  store<f32>(weight + Weight.InScale * 4, reinterpret<f32>((127 + 64) << 23));
  store<f32>(weight + Weight.OutScale * 4, reinterpret<f32>((127 + 48 - shift) << 23));
}

@inline
function scaleShift(weight: usize): i32 {
  return max(0, min(10, 30 - (word(weight, Weight.Largest) >> 10)));
}

function packPanel(weight: usize, from: usize, to: usize, k: i32): void {
  const stored = word(weight, Weight.Stored);
  const stride = <usize>k << log2Width(stored);
  const factor = reinterpret<f32>((127 + scaleShift(weight)) << 23);
  for (let r = 0; r < 8; r++) {
    const row = from + <usize>r * stride;
    const column = place(stored, r);
    if (stored == Stored.F32) packFloats(row, to + (<usize>column << 2), k);
    else if (stored == Stored.BF16) packShorts(row, to + (<usize>column << 1), k);
    else packHalves(row, to + (<usize>column << 1), k, factor);
  }
}

function packFloats(row: usize, to: usize, k: i32): void {
  for (let i = 0; i < k; i++) store<u32>(to + (<usize>i << 5), load<u32>(row + (<usize>i << 2)));
}

function packShorts(row: usize, to: usize, k: i32): void {
  for (let i = 0; i < k; i++) store<u16>(to + (<usize>i << 4), load<u16>(row + (<usize>i << 1)));
}

function packHalves(row: usize, to: usize, k: i32, factor: f32): void {
  for (let i = 0; i < k; i++) {
    const half = <u32>load<u16>(row + (<usize>i << 1));
    const bits = reinterpret<u32>(widen(half & 0x7fff) * factor);
    store<u16>(to + (<usize>i << 4), <u16>((half & 0x8000) | (bits >> 13)));
  }
}

/** Copies row `index` of a packed matrix to `out` as float32. */
export function unpackRow(weight: usize, index: i32, out: usize): void {
  const stored = word(weight, Weight.Stored);
  const k = word(weight, Weight.K);
  const width = log2Width(stored);
  const column = place(stored, index & 7);
  let at = address(weight, Weight.Data) + ((<usize>(index >> 3) * <usize>k << 3) << width) +
    (<usize>column << width);
  const scale = load<f32>(weight + Weight.InScale * 4) * load<f32>(weight + Weight.OutScale * 4);
  for (let i = 0; i < k; i++) {
    let value: f32;
    if (stored == Stored.F32) value = load<f32>(at);
    else if (stored == Stored.BF16) value = reinterpret<f32>(<u32>load<u16>(at) << 16);
    else value = widen(load<u16>(at)) * scale;
    store<f32>(out + (<usize>i << 2), value);
    at += <usize>8 << width;
  }
}
