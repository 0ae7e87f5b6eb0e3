// What the matrix kernels share: a workgroup has RESULTS of the N results of the TILE rows of a tile.
#include "step.wgsl"
#include "weights.wgsl"
#include "activations.wgsl"

@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#ifdef BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>;
#endif

#ifdef GROUPED
// Rows that go to one expert: its number, their first entry in the list, how many they are.
@group(0) @binding(4) var<storage, read> tiles: array<vec4u>;
// Slots (a token's choice of an expert) by expert.
@group(0) @binding(5) var<storage, read> list: array<u32>;
#endif
#if defined(SINGLE) || defined(COMBINE)
@group(0) @binding(4) var<storage, read> chosen: array<u32>;
#endif

// Rows that have the same weight: its first row, their first entry, how many they are.
struct Tile {
  matrix: u32,
  start: u32,
  count: u32,
}

//   GROUPED   each tile has an expert as its weight; x has a row a token, or with SCATTER one an entry
//   SINGLE    each row is a slot, whose expert is its weight
fn tile_at(index: u32) -> Tile {
#if defined(GROUPED)
  let tile = tiles[index];
  let expert = tile.x - FIRST_EXPERT;
  return Tile(expert * MATRIX_ROWS, tile.y, select(0u, tile.z, expert < EXPERTS));
#elif defined(SINGLE)
  let expert = chosen[index] - FIRST_EXPERT;
  return Tile(expert * MATRIX_ROWS, index, select(0u, 1u, expert < EXPERTS));
#else
  let start = index * TILE;
  return Tile(0u, start, min(LIVE - start, TILE));
#endif
}

fn x_row(entry: u32) -> u32 {
#if defined(SINGLE)
  return entry / SLOTS;
#elif defined(GROUPED) && !defined(SCATTER)
  return list[entry] / SLOTS;
#else
  return entry;
#endif
}

fn out_row(entry: u32) -> u32 {
#ifdef SCATTER
  return list[entry];
#else
  return entry;
#endif
}

// The weight's row for row `i` of a workgroup. With SWIGLU there are N gate rows, then N up rows.
fn weight_row(first: u32, i: u32) -> u32 {
  return min(first + i % RESULTS, N - 1u) + select(0u, N, i >= RESULTS);
}

// a · b + sum, in this order in every kernel, so that a row's result does not depend on its batch.
fn dot4(a: vec4f, b: vec4f, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn silu(value: f32) -> f32 {
  return value / (1.0 + exp(-value));
}

fn put(row: u32, result: u32, sum: f32) {
  let at = row * WIDTH + COLUMN + result;
  var value = sum;
#ifdef BIAS
  value += bias[BIAS_FIRST + result];
#endif
#ifdef ADD
  value += out[at];
#endif
  out[at] = value;
}
