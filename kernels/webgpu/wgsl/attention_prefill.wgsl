// Attention of 32 tokens of one sequence and one query head: keys and values go through workgroup memory in
// tiles of 32 slots by 32 dimensions, which all rows share (FlashAttention, Dao et al. 2022). Thread (x, y) of
// 8 x 8 has rows y + 8r, and of these the scores of keys 4x + c and dimensions 4x + c of every 32, with r and
// c from 0 to 3.
#include "step.wgsl"
#include "attention_common.wgsl"

@group(0) @binding(7) var<storage, read_write> out: array<f32>;

// Vectors of a tile's row, one of them padding, so that eight rows lie in different banks.
const STRIDE = 9u;

var<workgroup> queries: array<vec4<f32>, 32 * STRIDE>;
// Of keys, then of values.
var<workgroup> cached: array<vec4<f32>, 32 * STRIDE>;
var<workgroup> weights: array<vec4<f32>, 32 * STRIDE>;
// Of four rows each, over the keys of one column of threads.
var<workgroup> maxima: array<vec4<f32>, 64>;

// 32 dimensions from 32 * chunk of the queries from row `first` on.
fn load_queries(first: u32, head: u32, chunk: u32, thread: u32) {
  for (var i = thread; i < 256; i += 64) {
    let row = min(first + i / 8, step.tokens - 1);
    let dim = 32 * chunk + i % 8 * 4;
    var value = vec4<f32>();
    if (dim < HEAD_DIM) {
      value = four_of(row, head, dim) * SCALE;
    }
    queries[i / 8 * STRIDE + i % 8] = value;
  }
}

// 32 dimensions of 32 keys from position `from` on; those from `end` on repeat the last. Key 4x + c goes to
// row x + 8c: what eight threads read at once lies in different banks.
fn load_keys(sequence: u32, base: u32, end: u32, head: u32, chunk: u32, thread: u32) {
  for (var i = thread; i < 128; i += 64) {
    let cell = 4 * chunk + i % 4;
    var key = Eight();
    if (cell < LANES) {
      key = eight(key_at(slot_of(sequence, min(base + i / 4, end - 1), head) + cell));
    }
    let row = i / 16 + i / 4 % 4 * 8;
    cached[row * STRIDE + i % 4 * 2] = key.low;
    cached[row * STRIDE + i % 4 * 2 + 1] = key.high;
  }
}

// As load_keys, in order.
fn load_values(sequence: u32, base: u32, end: u32, head: u32, chunk: u32, thread: u32) {
  for (var i = thread; i < 128; i += 64) {
    let cell = 4 * chunk + i % 4;
    var value = Eight();
    if (cell < LANES) {
      value = eight(value_at(slot_of(sequence, min(base + i / 4, end - 1), head) + cell));
    }
    cached[i / 4 * STRIDE + i % 4 * 2] = value.low;
    cached[i / 4 * STRIDE + i % 4 * 2 + 1] = value.high;
  }
}

// Adds products of four rows with four keys over 32 dimensions: column c is of key 4x + c.
fn add_scores(sums: mat4x4<f32>, x: u32, y: u32) -> mat4x4<f32> {
  var scores = sums;
  for (var i = 0u; i < 8; i++) {
    let rows = mat4x4<f32>(
      queries[y * STRIDE + i],
      queries[(y + 8) * STRIDE + i],
      queries[(y + 16) * STRIDE + i],
      queries[(y + 24) * STRIDE + i],
    );
    scores = mat4x4<f32>(
      scores[0] + cached[x * STRIDE + i] * rows,
      scores[1] + cached[(x + 8) * STRIDE + i] * rows,
      scores[2] + cached[(x + 16) * STRIDE + i] * rows,
      scores[3] + cached[(x + 24) * STRIDE + i] * rows,
    );
  }
  return scores;
}

// Adds values weighted for four rows: column r is of row y + 8r.
fn add_values(sums: mat4x4<f32>, x: u32, y: u32) -> mat4x4<f32> {
  var result = sums;
  for (var i = 0u; i < 8; i++) {
    let by_key = mat4x4<f32>(
      cached[4 * i * STRIDE + x],
      cached[(4 * i + 1) * STRIDE + x],
      cached[(4 * i + 2) * STRIDE + x],
      cached[(4 * i + 3) * STRIDE + x],
    );
    result = mat4x4<f32>(
      result[0] + by_key * weights[y * STRIDE + i],
      result[1] + by_key * weights[(y + 8) * STRIDE + i],
      result[2] + by_key * weights[(y + 16) * STRIDE + i],
      result[3] + by_key * weights[(y + 24) * STRIDE + i],
    );
  }
  return result;
}

fn scaled(x: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(x[0] * by.x, x[1] * by.y, x[2] * by.z, x[3] * by.w);
}

// The sums of weights of four rows.
fn row_masses(y: u32) -> vec4<f32> {
  var sums = mat4x4<f32>();
  for (var i = 0u; i < 8; i++) {
    sums += mat4x4<f32>(
      weights[y * STRIDE + i],
      weights[(y + 8) * STRIDE + i],
      weights[(y + 16) * STRIDE + i],
      weights[(y + 24) * STRIDE + i],
    );
  }
  return vec4<f32>(1) * sums;
}

// 32 dimensions of the result: `sums` and the values of one tile.
fn with_values(
  sums: mat4x4<f32>,
  sequence: u32,
  base: u32,
  end: u32,
  kv_head: u32,
  chunk: u32,
  thread: u32,
) -> mat4x4<f32> {
  workgroupBarrier();
  load_values(sequence, base, end, kv_head, chunk, thread);
  workgroupBarrier();
  return add_values(sums, thread % 8, thread / 8);
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

// Which of four keys from `key` on a row sees.
fn seen_by(row: u32, key: u32) -> vec4<bool> {
  let end = end_seen(row);
  let position = key + vec4<u32>(0, 1, 2, 3);
  return (position < vec4<u32>(end)) & (position >= vec4<u32>(first_seen(max(end, 1) - 1)));
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let first_row = group.y * TILE_ROWS;
  if (!is_tiled(first_row)) {
    return;
  }
  let head = group.x;
  let kv_head = head / GROUP;
  let sequence = u32(sequences[first_row]);
  var start = position_of(first_row);
  var end = 0u;
  for (var row = first_row; row < min(first_row + TILE_ROWS, step.tokens); row++) {
    let position = position_of(row);
    start = min(start, first_seen(position));
    end = max(end, position + 1);
  }
  let x = thread % 8;
  let y = thread / 8;
  let rows = first_row + y + vec4<u32>(0, 8, 16, 24);

  // Of four rows each: the highest score, the sum of weights, and the weighted values.
  var highest = vec4<f32>(LOWEST);
  var mass = vec4<f32>();
  var result: array<mat4x4<f32>, CHUNKS>;
  for (var base = start; base < end; base += 32) {
    var by_key = mat4x4<f32>();
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      workgroupBarrier();
      load_queries(first_row, head, chunk, thread);
      load_keys(sequence, base, end, kv_head, chunk, thread);
      workgroupBarrier();
      by_key = add_scores(by_key, x, y);
    }
    let scores = transpose(by_key);
    let seen_0 = seen_by(rows.x, base + 4 * x);
    let seen_1 = seen_by(rows.y, base + 4 * x);
    let seen_2 = seen_by(rows.z, base + 4 * x);
    let seen_3 = seen_by(rows.w, base + 4 * x);
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
    let kept = exp(highest - risen);
    highest = risen;
    let zero = vec4<f32>();
    weights[y * STRIDE + x] = select(zero, exp(scores[0] - risen.x), seen_0);
    weights[(y + 8) * STRIDE + x] = select(zero, exp(scores[1] - risen.y), seen_1);
    weights[(y + 16) * STRIDE + x] = select(zero, exp(scores[2] - risen.z), seen_2);
    weights[(y + 24) * STRIDE + x] = select(zero, exp(scores[3] - risen.w), seen_3);
#for CHUNK 0 CHUNKS
    result[CHUNK] = with_values(scaled(result[CHUNK], kept), sequence, base, end, kv_head, CHUNK, thread);
#endfor
    mass = mass * kept + row_masses(y);
  }
#for CHUNK 0 CHUNKS
  store(rows, head, 32 * CHUNK + 4 * x, result[CHUNK], mass);
#endfor
}
