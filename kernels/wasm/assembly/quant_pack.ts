/**
 * Activations as integers: each block of 32 has a scale. A tile of T tokens holds for each block T scales, two
 * words of each token that take offsets back, then T times four k after one another. Weights of 8 bits meet
 * activations of 14 in two planes of 7 (offset 8192: the weights' sum takes it back); narrower weights, which
 * are the unsigned side, meet signed bytes.
 */
import { Stored, Weight, Word } from "../opcodes";
import { address, ceilDiv, liveRows, max4, word } from "./vector";

/** Most tokens of a tile. */
const TILE: i32 = 4;
const INLINE_PACK: i32 = 16384;

@inline
function planes(stored: i32): usize {
  return stored == Stored.Q8_0 ? 2 : 1;
}

/** Bytes of one token's block. */
@inline
export function blockBytes(stored: i32): usize {
  return 12 + 32 * planes(stored);
}

/** Bytes of one token of `k` values. */
@inline
export function tokenBytes(stored: i32, k: i32): usize {
  return <usize>(k >> 5) * blockBytes(stored);
}

@inline
export function quantTileCount(rows: i32): i32 {
  return ceilDiv(rows, TILE);
}

/** First token of tile `index`. */
@inline
export function quantTileStart(rows: i32, index: i32): i32 {
  return min(rows, index * TILE);
}

/** QuantPack: `X` rows of `K` floats to `Out` in tiles, for `Weight`. Small ones are done at once. */
export function planQuantPack(op: usize): i32 {
  const rows = liveRows(op), tiles = quantTileCount(rows);
  if (rows * word(op, Word.K) > INLINE_PACK) return tiles;
  for (let t = 0; t < tiles; t++) quantPack(op, t);
  return 0;
}

export function quantPack(op: usize, tile: i32): void {
  const rows = liveRows(op), k = word(op, Word.K);
  const stored = word(address(op, Word.Weight), Weight.Stored);
  const first = quantTileStart(rows, tile), tokens = quantTileStart(rows, tile + 1) - first;
  const to = address(op, Word.Out) + <usize>first * tokenBytes(stored, k);
  for (let i = 0; i < tokens; i++) {
    quantiseRow(stored, address(op, Word.X) + ((<usize>(first + i) * <usize>k) << 2), k, to, tokens, i);
  }
}

/** Writes a row of `k` floats as token `index` of a tile of `tokens`. */
export function quantiseRow(stored: i32, x: usize, k: i32, to: usize, tokens: i32, index: i32): void {
  const stride = blockBytes(stored) * <usize>tokens;
  const wide = stored == Stored.Q8_0;
  for (let b = 0; b < k; b += 32) {
    const largest = largestOf(x);
    const limit: f32 = wide ? 8191 : 127;
    const inverse: f32 = largest > 0 ? limit / largest : 0;
    store<f32>(to + (<usize>index << 2), largest / limit);
    if (wide) wideBlock(x, inverse, to, <usize>tokens, <usize>index);
    else byteBlock(stored, x, inverse, largest / limit, to, <usize>tokens, <usize>index);
    x += 128;
    to += stride;
  }
}

function largestOf(x: usize): f32 {
  let largest = f32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) largest = f32x4.max(largest, f32x4.abs(v128.load(x + i)));
  return max4(largest);
}

/** Four floats, scaled and rounded to integers of at most `limit`, which division may just exceed. */
@inline
function round4(x: usize, inverse: f32, limit: i32): v128 {
  const v = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), f32x4.splat(inverse))));
  return i32x4.max_s(i32x4.min_s(v, i32x4.splat(limit)), i32x4.splat(-limit));
}

/** The low byte of each lane, in one word. */
@inline
function lowBytes(v: v128): u32 {
  const bytes = i8x16.shuffle(v, v, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
  return <u32>i32x4.extract_lane(bytes, 0);
}

function wideBlock(x: usize, inverse: f32, to: usize, tokens: usize, index: usize): void {
  let at = to + tokens * 12 + (index << 2);
  for (let i: usize = 0; i < 128; i += 16) {
    const v = i32x4.add(round4(x + i, inverse, 8191), i32x4.splat(8192));
    store<u32>(at, lowBytes(i32x4.shr_u(v, 7)));
    store<u32>(at + (tokens << 5), lowBytes(v128.and(v, i32x4.splat(127))));
    at += tokens << 2;
  }
}

function byteBlock(
  stored: i32, x: usize, inverse: f32, scale: f32, to: usize, tokens: usize, index: usize,
): void {
  let at = to + tokens * 12 + (index << 2);
  let first = i32x4.splat(0), second = i32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) {
    const v = round4(x + i, inverse, 127);
    if (i < 64) first = i32x4.add(first, v);
    else second = i32x4.add(second, v);
    store<u32>(at, lowBytes(v));
    at += tokens << 2;
  }
  const words = to + ((tokens + index) << 2);
  const a = sumLanes(first), b = sumLanes(second);
  if (stored == Stored.Q4_0) store<i32>(words, -8 * (a + b));
  else if (stored == Stored.Q4_K) store<f32>(words, scale * <f32>(a + b));
  else {
    store<i32>(words, -32 * a);
    store<i32>(words + (tokens << 2), -32 * b);
  }
}

function sumLanes(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) +
    i32x4.extract_lane(v, 3);
}
