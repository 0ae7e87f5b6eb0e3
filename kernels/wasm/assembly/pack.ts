/**
 * Activations as products want them: tiles of 8 tokens whose words take turns. For float weights the words of a
 * token are its floats. For quantised ones, each block of 32 k becomes integers of 15 bits and a sign: its words
 * are a scale, 16 pairs of k, and the sums of the first and the last 16 k. So a product with integers of 8 bits
 * is exact in 32 bits.
 */
import { Weight, Word } from "../opcodes";
import { isQuantised, QUANT_WORDS, TILE, tileBytes, tileCount, tileTokens, wordStride } from "./layout";
import { address, ceilDiv, liveRows, max4, number, word } from "./vector";

/** Values of k of a chunk, a multiple of every block. */
const CHUNK: i32 = 512;
const LIMIT: f32 = 32767;

/** Whether a single row can be used as it lies. */
@inline
export function isDirect(weight: usize, rows: i32): bool {
  return rows == 1 && !isQuantised(word(weight, Weight.Stored)) && number(weight, Weight.InScale) == 1.0;
}

/** Pack: `X` rows of `K` floats to `Out` in tiles, for `Weight`. Chunks are pieces of k of a tile. */
export function planPack(op: usize): i32 {
  const rows = liveRows(op);
  if (rows == 0 || isDirect(address(op, Word.Weight), rows)) return 0;
  return tileCount(rows) * ceilDiv(word(op, Word.K), CHUNK);
}

export function pack(op: usize, chunk: i32): void {
  const rows = liveRows(op), k = word(op, Word.K), weight = address(op, Word.Weight);
  const parts = ceilDiv(k, CHUNK);
  const tile = chunk / parts, from = (chunk % parts) * CHUNK;
  const to = address(op, Word.Out) + <usize>tile * tileBytes(word(weight, Weight.Stored), k);
  const tokens = tileTokens(rows, tile);
  for (let i = 0; i < tokens; i++) {
    const x = address(op, Word.X) + ((<usize>(tile * TILE + i) * <usize>k) << 2);
    packRow(weight, x, from, min(k, from + CHUNK), to, tokens, i);
  }
}

/** Writes values `from` to `end` of the row `x` as token `index` of a tile of `tokens`. */
export function packRow(
  weight: usize, x: usize, from: i32, end: i32, tile: usize, tokens: i32, index: i32,
): void {
  const stored = word(weight, Weight.Stored), stride = wordStride(tokens);
  const before = isQuantised(stored) ? (from >> 5) * QUANT_WORDS : from;
  const to = tile + (<usize>index << 2) + <usize>before * stride;
  x += <usize>from << 2;
  if (isQuantised(stored)) quantise(x, end - from, to, stride);
  else scaleRow(x, end - from, number(weight, Weight.InScale), to, stride);
}

function scaleRow(x: usize, count: i32, scale: f32, to: usize, stride: usize): void {
  for (const end = x + (<usize>count << 2); x < end; x += 4) {
    store<f32>(to, load<f32>(x) * scale);
    to += stride;
  }
}

/** Writes whole blocks of one token, word by word. */
function quantise(x: usize, count: i32, to: usize, stride: usize): void {
  for (; count > 0; count -= 32) {
    const largest = largestOf(x);
    const inverse = f32x4.splat(largest > 0 ? LIMIT / largest : 0);
    store<f32>(to, largest / LIMIT);
    to += stride;
    let sum = 0, firstSum = 0;
    for (let i = 0; i < 4; i++) {
      const pairs = round8(x, inverse);
      storePairs(pairs, to, stride);
      if (i == 2) {
        firstSum = sum;
        sum = 0;
      }
      sum += sumLanes(i32x4.dot_i16x8_s(pairs, i16x8.splat(1)));
      x += 32;
      to += stride << 2;
    }
    store<i32>(to, firstSum);
    store<i32>(to + stride, sum);
    to += stride << 1;
  }
}

function largestOf(x: usize): f32 {
  let largest = f32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) largest = f32x4.max(largest, f32x4.abs(v128.load(x + i)));
  return max4(largest);
}

/** Eight floats, scaled and rounded; what division makes just too large is cut to the limit. */
@inline
function round8(x: usize, inverse: v128): v128 {
  const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), inverse)));
  const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x, 16), inverse)));
  return i16x8.narrow_i32x4_s(low, high);
}

@inline
function storePairs(v: v128, to: usize, stride: usize): void {
  v128.store_lane<i32>(to, v, 0);
  v128.store_lane<i32>(to + stride, v, 1);
  v128.store_lane<i32>(to + 2 * stride, v, 2);
  v128.store_lane<i32>(to + 3 * stride, v, 3);
}

@inline
function sumLanes(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) +
    i32x4.extract_lane(v, 3);
}
