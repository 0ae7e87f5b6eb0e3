// Attention of 32 tokens of one sequence and one query head: keys and values go through workgroup memory in
// tiles of 32 slots, VECTORS vectors of each at once, which all rows share (FlashAttention, Dao et al. 2022).
// Thread (x, y) of 8 x 8 has rows y + 8r, and of these the scores of keys 4x + c and vectors x + 8c of the result,
// with r from 0 to 3 and c from 0 on.
#include "step.wgsl"
#include "attention_common.wgsl"

@group(0) @binding(7) var<storage, read_write> out: array<f32>;

// Vectors of a tile's row, one of them padding, so that eight rows lie in different banks; of 32 weights, too.
const STRIDE = VECTORS + 1u;
const WEIGHTS_STRIDE = 9u;
// Cells of eight elements in a tile's row.
const CELLS = VECTORS / 2u;

var<workgroup> queries: array<vec4<f32>, 32 * STRIDE>;
// Of keys, then of values.
var<workgroup> cached: array<vec4<f32>, 32 * STRIDE>;
var<workgroup> weights: array<vec4<f32>, 32 * WEIGHTS_STRIDE>;
// Of this tile and the next in turn.
var<workgroup> slots: array<u32, 64>;
// Of four rows each, over the keys of one column of threads.
var<workgroup> maxima: array<vec4<f32>, 64>;

// A chunk of the queries from row `first` on.
fn load_queries(first: u32, head: u32, chunk: u32, thread: u32) {
#for I 0 VECTORS / 2
  put_query(first, head, chunk, thread + 64 * I);
#endfor
}

fn put_query(first: u32, head: u32, chunk: u32, i: u32) {
  let row = min(first + i / VECTORS, step.tokens - 1);
  let dim = 4 * (VECTORS * chunk + i % VECTORS);
  let inside = min(dim, HEAD_DIM - 1);
  queries[i / VECTORS * STRIDE + i % VECTORS] =
    select(vec4<f32>(), four_of(row, head, inside) * SCALE, dim < HEAD_DIM);
}

// Where the slots of a tile begin, and those of the next; by 32 threads. Positions from `end` on repeat the last.
fn find_slots(sequence: u32, base: u32, end: u32, head: u32, thread: u32) {
  if (thread < 32) {
    slots[base / 32 % 2 * 32 + thread] = slot_of(sequence, min(base + thread, end - 1), head);
  }
}

// Cell `i` of a chunk of the tile at `base`.
fn cell_of(base: u32, chunk: u32, i: u32) -> u32 {
  return slots[base / 32 % 2 * 32 + i / CELLS] + min(CELLS * chunk + i % CELLS, LANES - 1);
}

// A chunk of 32 keys from position `base` on. Key 4x + c goes to row x + 8c: what eight threads read at once lies
// in different banks. Elements beyond the head meet queries of 0.
fn load_keys(base: u32, chunk: u32, thread: u32) {
  var loaded: array<Stored, CELLS / 2>;
#for I 0 VECTORS / 4
  loaded[I] = key_at(cell_of(base, chunk, thread + 64 * I));
#endfor
#for I 0 VECTORS / 4
  put_key(thread + 64 * I, eight(loaded[I]));
#endfor
}

fn put_key(i: u32, key: Eight) {
  let slot = i / CELLS;
  let at = (slot / 4 + slot % 4 * 8) * STRIDE + i % CELLS * 2;
  cached[at] = key.low;
  cached[at + 1] = key.high;
}

// As load_keys, in order.
fn load_values(base: u32, chunk: u32, thread: u32) {
  var loaded: array<Stored, CELLS / 2>;
#for I 0 VECTORS / 4
  loaded[I] = value_at(cell_of(base, chunk, thread + 64 * I));
#endfor
#for I 0 VECTORS / 4
  put_value(thread + 64 * I, eight(loaded[I]));
#endfor
}

fn put_value(i: u32, value: Eight) {
  let at = i / CELLS * STRIDE + i % CELLS * 2;
  cached[at] = value.low;
  cached[at + 1] = value.high;
}

// Adds products of four rows with four keys over a chunk: column c is of key 4x + c.
fn add_scores(sums: mat4x4<f32>, x: u32, y: u32) -> mat4x4<f32> {
  var scores = sums;
  for (var i = 0u; i < VECTORS; i += UNROLL) {
#for STEP 0 UNROLL
    scores = with_scores(scores, i + STEP, x, y);
#endfor
  }
  return scores;
}

fn with_scores(scores: mat4x4<f32>, i: u32, x: u32, y: u32) -> mat4x4<f32> {
  let rows = mat4x4<f32>(
    queries[y * STRIDE + i],
    queries[(y + 8) * STRIDE + i],
    queries[(y + 16) * STRIDE + i],
    queries[(y + 24) * STRIDE + i],
  );
  return mat4x4<f32>(
    scores[0] + cached[x * STRIDE + i] * rows,
    scores[1] + cached[(x + 8) * STRIDE + i] * rows,
    scores[2] + cached[(x + 16) * STRIDE + i] * rows,
    scores[3] + cached[(x + 24) * STRIDE + i] * rows,
  );
}

// Adds vector `column` of the values weighted for four rows: column r is of row y + 8r.
fn add_values(sums: mat4x4<f32>, column: u32, y: u32) -> mat4x4<f32> {
  var result = sums;
  for (var i = 0u; i < 8; i += UNROLL) {
#for STEP 0 UNROLL
    result = with_values(result, i + STEP, column, y);
#endfor
  }
  return result;
}

fn with_values(result: mat4x4<f32>, i: u32, column: u32, y: u32) -> mat4x4<f32> {
  let by_key = mat4x4<f32>(
    cached[4 * i * STRIDE + column],
    cached[(4 * i + 1) * STRIDE + column],
    cached[(4 * i + 2) * STRIDE + column],
    cached[(4 * i + 3) * STRIDE + column],
  );
  return mat4x4<f32>(
    result[0] + by_key * weights[y * WEIGHTS_STRIDE + i],
    result[1] + by_key * weights[(y + 8) * WEIGHTS_STRIDE + i],
    result[2] + by_key * weights[(y + 16) * WEIGHTS_STRIDE + i],
    result[3] + by_key * weights[(y + 24) * WEIGHTS_STRIDE + i],
  );
}

fn scaled(x: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(x[0] * by.x, x[1] * by.y, x[2] * by.z, x[3] * by.w);
}

// The sums of weights of four rows.
fn row_masses(y: u32) -> vec4<f32> {
  var sums = mat4x4<f32>();
  for (var i = 0u; i < 8; i++) {
    sums += mat4x4<f32>(
      weights[y * WEIGHTS_STRIDE + i],
      weights[(y + 8) * WEIGHTS_STRIDE + i],
      weights[(y + 16) * WEIGHTS_STRIDE + i],
      weights[(y + 24) * WEIGHTS_STRIDE + i],
    );
  }
  return vec4<f32>(1) * sums;
}

fn store(rows: vec4<u32>, head: u32, dim: u32, result: mat4x4<f32>, mass: vec4<f32>) {
  store_row(rows.x, head, dim, result[0] / mass.x);
  store_row(rows.y, head, dim, result[1] / mass.y);
  store_row(rows.z, head, dim, result[2] / mass.z);
  store_row(rows.w, head, dim, result[3] / mass.w);
}

fn store_row(row: u32, head: u32, dim: u32, value: vec4<f32>) {
  if (row >= step.tokens) {
    return;
  }
  for (var i = 0u; i < 4 && dim + i < HEAD_DIM; i++) {
    out[(row * HEADS + head) * HEAD_DIM + dim + i] = value[i];
  }
}

fn highest_of(x: vec4<f32>) -> f32 {
  return max(max(x.x, x.y), max(x.z, x.w));
}

// One after the last position that a row sees; 0 = it is not live.
fn end_seen(row: u32) -> u32 {
  if (row >= step.tokens) {
    return 0;
  }
  return position_of(row) + 1;
}

// Which of four keys from `key` on a row sees, of which the positions before `end` are seen.
fn seen_by(end: u32, key: u32) -> vec4<bool> {
  let position = key + vec4<u32>(0, 1, 2, 3);
  return (position < vec4<u32>(end)) & (position >= vec4<u32>(first_seen(max(end, 1) - 1)));
}

// Positions that some row of the tile sees.
struct Range {
  start: u32,
  end: u32,
}

fn range_of(first_row: u32) -> Range {
  let last_row = min(first_row + TILE_ROWS, step.tokens) - 1;
  var lowest = position_of(first_row);
  var highest = lowest;
#for I 1 TILE_ROWS
  lowest = min(lowest, position_of(min(first_row + I, last_row)));
  highest = max(highest, position_of(min(first_row + I, last_row)));
#endfor
  return Range(first_seen(lowest), highest + 1);
}

// Puts the weights of a tile, of keys from `base` on, relative to the highest scores of four rows: these.
fn put_weights(by_key: mat4x4<f32>, ends: vec4<u32>, highest: vec4<f32>, base: u32, x: u32, y: u32) -> vec4<f32> {
  let scores = transpose(by_key);
  let seen_0 = seen_by(ends.x, base + 4 * x);
  let seen_1 = seen_by(ends.y, base + 4 * x);
  let seen_2 = seen_by(ends.z, base + 4 * x);
  let seen_3 = seen_by(ends.w, base + 4 * x);
  let none = vec4<f32>(LOWEST);
  maxima[8 * x + y] = vec4<f32>(
    highest_of(select(none, scores[0], seen_0)),
    highest_of(select(none, scores[1], seen_1)),
    highest_of(select(none, scores[2], seen_2)),
    highest_of(select(none, scores[3], seen_3)),
  );
  workgroupBarrier();
  var risen = highest;
  for (var i = 0u; i < 8; i++) {
    risen = max(risen, maxima[8 * i + y]);
  }
  let zero = vec4<f32>();
  weights[y * WEIGHTS_STRIDE + x] = select(zero, exp(scores[0] - risen.x), seen_0);
  weights[(y + 8) * WEIGHTS_STRIDE + x] = select(zero, exp(scores[1] - risen.y), seen_1);
  weights[(y + 16) * WEIGHTS_STRIDE + x] = select(zero, exp(scores[2] - risen.z), seen_2);
  weights[(y + 24) * WEIGHTS_STRIDE + x] = select(zero, exp(scores[3] - risen.w), seen_3);
  return risen;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  // The last rows see most: they start first.
  let first_row = (groups.y - 1 - group.y) * TILE_ROWS;
  if (!is_tiled(first_row)) {
    return;
  }
  let head = group.x;
  let kv_head = head / GROUP;
  let sequence = u32(sequences[first_row]);
  let range = range_of(first_row);
  let start = range.start / 32 * 32;
  find_slots(sequence, start, range.end, kv_head, thread);
  let x = thread % 8;
  let y = thread / 8;
  let rows = first_row + y + vec4<u32>(0, 8, 16, 24);
  let ends = vec4<u32>(end_seen(rows.x), end_seen(rows.y), end_seen(rows.z), end_seen(rows.w));

  // Of four rows each: the highest score, the sum of weights, and the weighted values.
  var highest = vec4<f32>(LOWEST);
  var mass = vec4<f32>();
  var result: array<mat4x4<f32>, CHUNKS * VECTORS / 8>;
#if CHUNKS == 1
  load_queries(first_row, head, 0, thread);
#endif
  for (var base = start; base < range.end; base += 32) {
    var by_key = mat4x4<f32>();
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      workgroupBarrier();
#if CHUNKS > 1
      load_queries(first_row, head, chunk, thread);
#endif
      load_keys(base, chunk, thread);
      workgroupBarrier();
      by_key = add_scores(by_key, x, y);
    }
    find_slots(sequence, base + 32, range.end, kv_head, thread);
    let risen = put_weights(by_key, ends, highest, base, x, y);
    let kept = exp(highest - risen);
    highest = risen;
#for CHUNK 0 CHUNKS
#if CHUNK > 0
    workgroupBarrier();
#endif
    load_values(base, CHUNK, thread);
    workgroupBarrier();
#for COLUMN 0 VECTORS / 8
    result[CHUNK * VECTORS / 8 + COLUMN] =
      add_values(scaled(result[CHUNK * VECTORS / 8 + COLUMN], kept), x + 8 * COLUMN, y);
#endfor
#endfor
    mass = mass * kept + row_masses(y);
  }
#for COLUMN 0 CHUNKS * VECTORS / 8
  store(rows, head, 4 * x + 32 * COLUMN, result[COLUMN], mass);
#endfor
}
