// Attention of single tokens over their paged context. A workgroup takes one token, one part of its context,
// and up to four query heads of a KV head, which share the loads. LANES threads hold eight elements each of
// one key (a team); the teams take keys in turn, four a round, each with its own online softmax
// (Milakov and Gimelshein 2018), and are merged at the end. With SPLIT the context is in as many parts as the
// grid is deep, which attention_merge joins (flash-decoding, Dao et al. 2023). With ROTATE the kernel also norms,
// rotates and appends as rotate_append does, for tokens that no other token of the step sees.
#ifdef SUBGROUPS
enable subgroups;
#endif
#include "step.wgsl"
#include "attention_common.wgsl"
#include "attention_team.wgsl"
#ifdef ROTATE
#include "attention_rotate.wgsl"
#endif

// Rows of heads; with SPLIT, parts as attention_merge reads them.
@group(0) @binding(7) var<storage, read_write> result: array<f32>;

// The queries of the block, and with ROTATE the key of the row: 2 * LANES vectors each.
var<workgroup> staged: array<vec4<f32>, 10 * LANES>;

struct FourStored {
  x: Stored,
  y: Stored,
  z: Stored,
  w: Stored,
}

fn four_keys(slots: vec4<u32>) -> FourStored {
  return FourStored(key_at(slots.x), key_at(slots.y), key_at(slots.z), key_at(slots.w));
}

fn four_values(slots: vec4<u32>) -> FourStored {
  return FourStored(value_at(slots.x), value_at(slots.y), value_at(slots.z), value_at(slots.w));
}

// This lane's cells of four keys; those from `end` on repeat the last.
fn slots_of(sequence: u32, at: vec4<u32>, end: u32, kv_head: u32, lane: u32) -> vec4<u32> {
  let held = min(at, vec4<u32>(max(end, 1) - 1));
  return lane + vec4<u32>(
    slot_of(sequence, held.x, kv_head),
    slot_of(sequence, held.y, kv_head),
    slot_of(sequence, held.z, kv_head),
    slot_of(sequence, held.w, kv_head),
  );
}

// Products of a key with the four queries.
fn score(key: Eight, low: mat4x4<f32>, high: mat4x4<f32>) -> vec4<f32> {
  return key.low * low + key.high * high;
}

fn scaled(x: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(x[0] * by.x, x[1] * by.y, x[2] * by.z, x[3] * by.w);
}

#ifndef ROTATE
fn stage(row: u32, heads: vec4<u32>, thread: u32) {
  for (var i = thread; i < 8 * LANES; i += THREADS) {
    staged[i] = four_of(row, heads[i / (2 * LANES)], 4 * (i % (2 * LANES)));
  }
  workgroupBarrier();
}
#endif

// Stores four elements of a head.
fn store(row: u32, split: u32, head: u32, dim: u32, sum: vec4<f32>, highest: f32, mass: f32, parts: u32) {
#ifdef SPLIT
  let first = ((split * step.tokens + row) * HEADS + head) * PART;
  let value = sum;
  if (dim == 0) {
    result[first + HEAD_DIM] = highest;
    result[first + HEAD_DIM + 1] = mass;
    result[first + HEAD_DIM + 2] = f32(parts);
  }
#else
  let first = (row * HEADS + head) * HEAD_DIM;
  let value = sum / mass;
#endif
  for (var i = 0u; i < min(4, HEAD_DIM - dim); i++) {
    result[first + dim + i] = value[i];
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  if (is_tiled(row)) {
    return;
  }
  let position = position_of(row);
  let first = first_seen(position);
  let rounds = (position - first) / ROUND_KEYS + 1;
  let part = (rounds + groups.z - 1) / groups.z * ROUND_KEYS;
  let start = first + group.z * part;
  if (start > position) {
    return;
  }
  let sequence = u32(sequences[row]);
  let kv_head = group.x / BLOCKS;
  let head = kv_head * GROUP + group.x % BLOCKS * 4;
  let last_head = kv_head * GROUP + GROUP - 1;
  let lane = thread % LANES;
  let team = thread / LANES;

  stage(row, min(head + vec4<u32>(0, 1, 2, 3), vec4<u32>(last_head)), thread);
  let at_lane = 2 * lane;
  let query_low = mat4x4<f32>(
    staged[at_lane] * SCALE,
    staged[2 * LANES + at_lane] * SCALE,
    staged[4 * LANES + at_lane] * SCALE,
    staged[6 * LANES + at_lane] * SCALE,
  );
  let query_high = mat4x4<f32>(
    staged[at_lane + 1] * SCALE,
    staged[2 * LANES + at_lane + 1] * SCALE,
    staged[4 * LANES + at_lane + 1] * SCALE,
    staged[6 * LANES + at_lane + 1] * SCALE,
  );

  // Of four heads each: the highest score, the sum of weights, and the weighted values.
  var highest = vec4<f32>(LOWEST);
  var mass = vec4<f32>();
  var low = mat4x4<f32>();
  var high = mat4x4<f32>();
#ifdef ROTATE
  // The token itself, which is not in the cache yet.
  let end = min(start + part, position);
  if (start + part > position) {
    let own_key = stored(Eight(staged[8 * LANES + at_lane], staged[8 * LANES + at_lane + 1]));
    let own_value = stored(eight_of(row, HEADS + KV_HEADS + kv_head, 8 * lane));
    let zero = vec4<f32>();
    let own = mat4x4<f32>(score(eight(own_key), query_low, query_high), zero, zero, zero);
    let scores = team_sum(own, thread);
    if (team == 0) {
      let value = eight(own_value);
      highest = scores[0];
      mass = vec4<f32>(1);
      low = mat4x4<f32>(value.low, value.low, value.low, value.low);
      high = mat4x4<f32>(value.high, value.high, value.high, value.high);
      if (group.x % BLOCKS == 0 && is_placed(row)) {
        append(lane + slot_of(sequence, position, kv_head), own_key, own_value);
      }
    }
  }
#else
  let end = min(start + part, position + 1);
#endif

  var at = start + team + vec4<u32>(0, TEAMS, 2 * TEAMS, 3 * TEAMS);
  var slots = slots_of(sequence, at, end, kv_head, lane);
  var keys_here = four_keys(slots);
  for (var round = start; round < end; round += ROUND_KEYS) {
    // The loads of this round's values and the next round's keys are on their way while scores are summed.
    let values_here = four_values(slots);
    let seen = at < vec4<u32>(end);
    at += ROUND_KEYS;
    slots = slots_of(sequence, at, end, kv_head, lane);
    let keys_next = four_keys(slots);
    let scores = team_sum(mat4x4<f32>(
      score(eight(keys_here.x), query_low, query_high),
      score(eight(keys_here.y), query_low, query_high),
      score(eight(keys_here.z), query_low, query_high),
      score(eight(keys_here.w), query_low, query_high),
    ), thread);
    keys_here = keys_next;

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
    let x = eight(values_here.x);
    let y = eight(values_here.y);
    let z = eight(values_here.z);
    let w = eight(values_here.w);
    low = scaled(low, kept) + mat4x4<f32>(x.low, y.low, z.low, w.low) * by_head;
    high = scaled(high, kept) + mat4x4<f32>(x.high, y.high, z.high, w.high) * by_head;
  }

  // Merges the teams, everything relative to the highest score of all.
  if (lane == 0) {
    team_highest[team] = highest;
    team_mass[team] = mass;
  }
  workgroupBarrier();
  var risen = highest;
  for (var i = 0u; i < TEAMS; i++) {
    risen = max(risen, team_highest[i]);
  }
  var whole = vec4<f32>();
  for (var i = 0u; i < TEAMS; i++) {
    whole += team_mass[i] * exp(team_highest[i] - risen);
  }
  let kept = exp(highest - risen);
  let parts = (rounds * ROUND_KEYS + part - 1) / part;
  var columns: array<vec4<f32>, 8>;
#for HEAD 0 4
  columns[HEAD] = low[HEAD] * kept[HEAD];
  columns[HEAD + 4] = high[HEAD] * kept[HEAD];
#endfor
#for PHASE 0 8 / COLUMNS
  workgroupBarrier();
#for COLUMN 0 COLUMNS
  exchange[COLUMN * THREADS + thread] = columns[PHASE * COLUMNS + COLUMN];
#endfor
  workgroupBarrier();
  for (var i = thread; i < COLUMNS * LANES; i += THREADS) {
    let column = PHASE * COLUMNS + i / LANES;
    let dim = i % LANES * 8 + column / 4 * 4;
    if (head + column % 4 <= last_head && dim < HEAD_DIM) {
      var sum = vec4<f32>();
      for (var other = 0u; other < TEAMS; other++) {
        sum += exchange[i / LANES * THREADS + other * LANES + i % LANES];
      }
      store(row, group.z, head + column % 4, dim, sum, risen[column % 4], whole[column % 4], parts);
    }
  }
#endfor
}
