// Attention of single tokens over their paged context. A workgroup takes one token, one part of its context,
// and up to four query heads of a KV head, which share the loads. LANES threads hold eight elements each of
// one key (a team); the teams take keys in turn, four a round, each with its own online softmax
// (Milakov and Gimelshein 2018), and are merged at the end. Several parts are merged by attention_merge
// (flash-decoding, Dao et al. 2023).
#ifdef SUBGROUPS
enable subgroups;
#endif
#include "step.wgsl"
#include "attention_common.wgsl"
#include "attention_splits.wgsl"

@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read_write> parts: array<f32>;

var<workgroup> exchange: array<vec4<f32>, 4 * TEAMS * LANES>;
var<workgroup> totals: array<vec4<f32>, 4 * TEAMS>;

#ifdef SUBGROUPS
fn with_neighbour(x: mat4x4<f32>, distance: u32) -> mat4x4<f32> {
  return mat4x4<f32>(
    x[0] + subgroupShuffleXor(x[0], distance),
    x[1] + subgroupShuffleXor(x[1], distance),
    x[2] + subgroupShuffleXor(x[2], distance),
    x[3] + subgroupShuffleXor(x[3], distance),
  );
}

// The sum over a team, for all of its threads.
fn team_sum(own: mat4x4<f32>, thread: u32) -> mat4x4<f32> {
  var sum = own;
#if LANES > 1
  sum = with_neighbour(sum, 1);
#endif
#if LANES > 2
  sum = with_neighbour(sum, 2);
#endif
#if LANES > 4
  sum = with_neighbour(sum, 4);
#endif
#if LANES > 8
  sum = with_neighbour(sum, 8);
#endif
#if LANES > 16
  sum = with_neighbour(sum, 16);
#endif
  return sum;
}
#else
// The sum over a team, for all of its threads.
fn team_sum(own: mat4x4<f32>, thread: u32) -> mat4x4<f32> {
  let team = thread / LANES;
  put(own, thread);
  workgroupBarrier();
  for (var column = thread % LANES; column < 4; column += LANES) {
    var sum = vec4<f32>();
    for (var i = 0u; i < LANES; i++) {
      sum += exchange[column * TEAMS * LANES + team * LANES + i];
    }
    totals[column * TEAMS + team] = sum;
  }
  workgroupBarrier();
  return mat4x4<f32>(
    totals[team],
    totals[TEAMS + team],
    totals[2 * TEAMS + team],
    totals[3 * TEAMS + team],
  );
}
#endif

fn put(own: mat4x4<f32>, thread: u32) {
  exchange[thread] = own[0];
  exchange[TEAMS * LANES + thread] = own[1];
  exchange[2 * TEAMS * LANES + thread] = own[2];
  exchange[3 * TEAMS * LANES + thread] = own[3];
}

// Products of a key with the four queries.
fn score(at: u32, low: mat4x4<f32>, high: mat4x4<f32>) -> vec4<f32> {
  let key = key_at(at);
  return key.low * low + key.high * high;
}

fn scaled(x: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(x[0] * by.x, x[1] * by.y, x[2] * by.z, x[3] * by.w);
}

@compute @workgroup_size(TEAMS * LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  if (is_tiled(row)) {
    return;
  }
  let position = position_of(row);
  let first = first_seen(position);
  let part = part_keys(position + 1 - first);
  let start = first + group.z * part;
  let end = min(start + part, position + 1);
  if (start >= end) {
    return;
  }
  let sequence = u32(sequences[row]);
  let kv_head = group.x / BLOCKS;
  let head = kv_head * GROUP + group.x % BLOCKS * 4;
  let last_head = kv_head * GROUP + GROUP - 1;
  let lane = thread % LANES;
  let team = thread / LANES;

  let heads = min(head + vec4<u32>(0, 1, 2, 3), vec4<u32>(last_head));
  let dim = lane * 8;
  let query_low = mat4x4<f32>(
    query(row, heads.x, dim),
    query(row, heads.y, dim),
    query(row, heads.z, dim),
    query(row, heads.w, dim),
  );
  let query_high = mat4x4<f32>(
    query(row, heads.x, dim + 4),
    query(row, heads.y, dim + 4),
    query(row, heads.z, dim + 4),
    query(row, heads.w, dim + 4),
  );

  // Of four heads each: the highest score, the sum of weights, and the weighted values.
  var highest = vec4<f32>(LOWEST);
  var mass = vec4<f32>();
  var low = mat4x4<f32>();
  var high = mat4x4<f32>();
  for (var round = start; round < end; round += ROUND_KEYS) {
    let at = round + team + vec4<u32>(0, TEAMS, 2 * TEAMS, 3 * TEAMS);
    let held = min(at, vec4<u32>(end - 1));
    let slots = lane + vec4<u32>(
      slot_of(sequence, held.x, kv_head),
      slot_of(sequence, held.y, kv_head),
      slot_of(sequence, held.z, kv_head),
      slot_of(sequence, held.w, kv_head),
    );
    let scores = team_sum(mat4x4<f32>(
      score(slots.x, query_low, query_high),
      score(slots.y, query_low, query_high),
      score(slots.z, query_low, query_high),
      score(slots.w, query_low, query_high),
    ), thread);
    let values_0 = value_at(slots.x);
    let values_1 = value_at(slots.y);
    let values_2 = value_at(slots.z);
    let values_3 = value_at(slots.w);

    let seen = at < vec4<u32>(end);
    let none = vec4<f32>(LOWEST);
    let top = max(
      max(select(none, scores[0], seen.x), select(none, scores[1], seen.y)),
      max(select(none, scores[2], seen.z), select(none, scores[3], seen.w)),
    );
    let risen = max(highest, top);
    let kept = exp(highest - risen);
    let weights = mat4x4<f32>(
      select(vec4<f32>(), exp(scores[0] - risen), seen.x),
      select(vec4<f32>(), exp(scores[1] - risen), seen.y),
      select(vec4<f32>(), exp(scores[2] - risen), seen.z),
      select(vec4<f32>(), exp(scores[3] - risen), seen.w),
    );
    highest = risen;
    mass = mass * kept + weights[0] + weights[1] + weights[2] + weights[3];
    let by_head = transpose(weights);
    low = scaled(low, kept) +
      mat4x4<f32>(values_0.low, values_1.low, values_2.low, values_3.low) * by_head;
    high = scaled(high, kept) +
      mat4x4<f32>(values_0.high, values_1.high, values_2.high, values_3.high) * by_head;
  }

  // Merges the teams: the highest of all first, then everything relative to it.
  workgroupBarrier();
  if (lane == 0) {
    totals[team] = highest;
  }
  workgroupBarrier();
  var risen = highest;
  for (var i = 0u; i < TEAMS; i++) {
    risen = max(risen, totals[i]);
  }
  let kept = exp(highest - risen);
  if (lane == 0) {
    totals[TEAMS + team] = mass * kept;
  }
  put(scaled(low, kept), thread);
  workgroupBarrier();
  var whole = vec4<f32>();
  for (var i = 0u; i < TEAMS; i++) {
    whole += totals[TEAMS + i];
  }
  let live_heads = last_head + 1 - head;
  merge(row, group.z, head, live_heads, 0, thread, risen, whole);
  workgroupBarrier();
  put(scaled(high, kept), thread);
  workgroupBarrier();
  merge(row, group.z, head, live_heads, 4, thread, risen, whole);
}

// Sums what the teams put, elements `half` to `half + 3` of each eight, and stores it.
fn merge(
  row: u32,
  split: u32,
  first_head: u32,
  live_heads: u32,
  half: u32,
  thread: u32,
  highest: vec4<f32>,
  mass: vec4<f32>,
) {
  for (var i = thread; i < 4 * LANES; i += TEAMS * LANES) {
    let column = i / LANES;
    let dim = i % LANES * 8 + half;
    if (column >= live_heads || dim >= HEAD_DIM) {
      continue;
    }
    var sum = vec4<f32>();
    for (var team = 0u; team < TEAMS; team++) {
      sum += exchange[column * TEAMS * LANES + team * LANES + i % LANES];
    }
    let head = row * HEADS + first_head + column;
    if (splits() == 1) {
      store_out(head * HEAD_DIM + dim, dim, sum / mass[column]);
      continue;
    }
    let part = (head * splits() + split) * PART;
    store_part(part + dim, dim, sum);
    if (dim == 0) {
      parts[part + HEAD_DIM] = highest[column];
      parts[part + HEAD_DIM + 1] = mass[column];
    }
  }
}

fn store_out(at: u32, dim: u32, value: vec4<f32>) {
  for (var i = 0u; i < min(4, HEAD_DIM - dim); i++) {
    out[at + i] = value[i];
  }
}

fn store_part(at: u32, dim: u32, value: vec4<f32>) {
  for (var i = 0u; i < min(4, HEAD_DIM - dim); i++) {
    parts[at + i] = value[i];
  }
}
