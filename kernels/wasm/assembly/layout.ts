/**
 * Where operands of products lie. A weight lies in panels of 32 rows: two strips of 16 rows, each k-major, so that
 * vector lanes are rows and no horizontal sum is ever needed. Strips take turns at every step, so that few tokens
 * read one stream for both, while more tokens have registers for one. Activations lie in tiles of 8 tokens,
 * k-major too.
 */
import { Stored } from "../opcodes";
import { ceilDiv } from "./vector";

/** Rows of a panel, and of a strip. */
export const PANEL: i32 = 32;
export const STRIP: i32 = 16;
/** Tokens of a tile. */
export const TILE: i32 = 8;
/** Words of a token for 32 k as integers: a scale, 16 pairs of i16, and the sums of 16 k twice. */
export const QUANT_WORDS: i32 = 19;

@inline
export function isQuantised(stored: i32): bool {
  return stored >= Stored.Q8_0;
}

/** Elements of a stored block of one row. */
@inline
export function blockElements(stored: i32): i32 {
  return stored < Stored.Q8_0 ? 1 : stored <= Stored.Q4_0 ? 32 : 256;
}

/** Bytes of a block as stored. */
@inline
export function storedBytes(stored: i32): usize {
  if (stored == Stored.F32) return 4;
  if (stored < Stored.Q8_0) return 2;
  return stored == Stored.Q8_0 ? 34 : stored == Stored.Q4_0 ? 18 : stored == Stored.Q4_K ? 144 : 210;
}

/** Bytes of a block of one row in a panel, where scales of 6 bits take a byte. */
@inline
export function packedBytes(stored: i32): usize {
  return stored == Stored.Q4_K ? 148 : storedBytes(stored);
}

/** Bytes of a panel of rows of `k`. */
@inline
export function panelBytes(stored: i32, k: i32): usize {
  return <usize>(k / blockElements(stored)) * packedBytes(stored) * <usize>PANEL;
}

/** Bytes from the first strip of a panel to the second: 16 floats at each k, of integers the 32 of a step. */
@inline
export function stripOffset(stored: i32): usize {
  return stored == Stored.F32 ? 64 : 32;
}

@inline
export function panelCount(n: i32): i32 {
  return ceilDiv(n, PANEL);
}

/** Bytes from one word of a token to its next one in a tile; a single token is dense. */
@inline
export function wordStride(tokens: i32): usize {
  return tokens == 1 ? 4 : <usize>(4 * TILE);
}

/** Bytes of a tile of activations of `k` for weights of a dtype. */
@inline
export function tileBytes(stored: i32, k: i32): usize {
  return isQuantised(stored) ? <usize>(k >> 5) * <usize>(QUANT_WORDS * TILE * 4) : <usize>k * <usize>(TILE * 4);
}

@inline
export function tileCount(rows: i32): i32 {
  return ceilDiv(rows, TILE);
}

/** Tokens of tile `index` of `rows`. */
@inline
export function tileTokens(rows: i32, index: i32): i32 {
  return min(TILE, rows - index * TILE);
}
