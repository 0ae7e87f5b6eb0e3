/** Small vector functions that every kernel shares. */
import { Control, Fault, ROWS_SAMPLES, ROWS_TOKENS, Word } from "../opcodes";

/** `a * b + c`, fused where the machine fuses. */
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

@inline
export function word(op: usize, index: i32): i32 {
  return load<i32>(op + (<usize>index << 2));
}

@inline
export function address(op: usize, index: i32): usize {
  return load<u32>(op + (<usize>index << 2));
}

@inline
export function number(op: usize, index: i32): f32 {
  return load<f32>(op + (<usize>index << 2));
}

/** Live rows of an op in this run. */
export function liveRows(op: usize): i32 {
  const rows = word(op, Word.Rows);
  if (rows == ROWS_TOKENS) return load<i32>(Control.Tokens);
  if (rows == ROWS_SAMPLES) return load<i32>(Control.Samples);
  return rows;
}

@inline
export function scratch(thread: i32): usize {
  return <usize>load<u32>(Control.Scratch) + <usize>thread * <usize>load<u32>(Control.ScratchBytes);
}

@inline
export function ceilDiv(a: i32, b: i32): i32 {
  return (a + b - 1) / b;
}

/** Returns `value` when below `limit`; else notes the fault and returns 0, so that memory stays safe. */
export function checked(value: i32, limit: i32, code: Fault): i32 {
  if (<u32>value < <u32>limit) return value;
  store<i32>(Control.FaultValue, value);
  atomic.store<i32>(Control.FaultCode, code);
  return 0;
}

@inline
export function powerOf2(exponent: i32): f32 {
  return reinterpret<f32>((127 + exponent) << 23);
}

@inline
export function sum4(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

@inline
export function max4(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/** Loads the last `count` (1 to 3) floats of a row, zeros after them. */
export function loadTail(from: usize, count: i32): v128 {
  let v = v128.load32_zero(from);
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(from, 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(from, 8));
  return v;
}

/** Stores the first `count` (1 to 4) lanes. */
export function storeTail(to: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(to, v);
    return;
  }
  store<f32>(to, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(v, 2), 8);
}

/** Natural logarithm in float64, for positive finite x. */
export function log1(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  let exponent = <f64>(<i32>(bits >> 52) - 1023);
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent += 1;
  }
  const s = (m - 1) / (m + 1);
  const z = s * s;
  let series = 1.0 / 21.0;
  for (let i = 19; i > 0; i -= 2) series = series * z + 1.0 / <f64>i;
  return exponent * 0.6931471805599453 + 2 * s * series;
}

/** Masks of a widened f16, of nibbles and of bit pairs in 16 bits; in memory like the terms of the exponential. */
export const HALF_MASK: usize = memory.data<u32>([0x8fffffff]);
export const NIBBLE_MASK: usize = memory.data<u32>([0x000f000f]);
export const PAIR_MASK: usize = memory.data<u32>([0x00300030]);

/**
 * Reads a word of every cache line. Arithmetic leaves too few loads in flight to stream from memory, a burst like
 * this does not. `sink` keeps the reads alive.
 */
export function touch(from: usize, bytes: usize, sink: usize): void {
  let all = 0;
  for (const end = from + bytes; from < end; from += 256) {
    all |= load<i32>(from) | load<i32>(from, 64) | load<i32>(from, 128) | load<i32>(from, 192);
  }
  store<i32>(sink, all);
}
