// Attention of single tokens over their paged context. A workgroup takes one token, one part of its context,
// and HEADS_HERE query heads of a KV head, which share the loads. LANES threads hold eight elements each of
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
var<workgroup> staged: array<vec4<f32>, 2 * (HEADS_HERE + 1) * LANES>;

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

// The queries of a block: this lane's elements of each.
struct Queries {
  low: Fours,
  high: Fours,
}

// The highest score, the sum of weights, and the weighted values.
struct State {
  highest: PerHead,
  mass: PerHead,
  low: Fours,
  high: Fours,
}

#ifndef ROTATE
fn stage(row: u32, heads: vec4<u32>, thread: u32) {
  for (var i = thread; i < 2 * HEADS_HERE * LANES; i += THREADS) {
    staged[i] = four_of(row, heads[i / (2 * LANES)], 4 * (i % (2 * LANES)));
  }
  workgroupBarrier();
}
#endif

// Vector `index` of the staged queries.
fn staged_vectors(index: u32) -> Fours {
#if HEADS_HERE == 1
  return staged[index] * SCALE;
#else
  return SCALE * mat4x4<f32>(
    staged[index],
    staged[2 * LANES + index],
    staged[4 * LANES + index],
    staged[6 * LANES + index],
  );
#endif
}

// Products of this lane's elements of a key with the queries.
fn score(key: Stored, queries: Queries) -> PerHead {
  let x = eight(key);
#if HEADS_HERE == 1
  return dot(x.low, queries.low) + dot(x.high, queries.high);
#else
  return x.low * queries.low + x.high * queries.high;
#endif
}

// Sums of four vectors with weights by key.
fn weighted(x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32>, weights: Fours) -> Fours {
#if HEADS_HERE == 1
  return x * weights.x + y * weights.y + z * weights.z + w * weights.w;
#else
  return mat4x4<f32>(x, y, z, w) * transpose(weights);
#endif
}

#ifdef ROTATE
// The state of the first team after the token itself, which is not in the cache yet: appends it, too.
fn own_token(row: u32, kv_head: u32, is_first_block: bool, queries: Queries, thread: u32) -> State {
  let lane = thread % LANES;
  let at = 2 * HEADS_HERE * LANES + 2 * lane;
  let key = stored(Eight(staged[at], staged[at + 1]));
  let value = stored(eight_of(row, HEADS + KV_HEADS + kv_head, 8 * lane));
  let scores = team_sum(Fours(score(key, queries), PerHead(), PerHead(), PerHead()), thread);
  if (thread >= LANES) {
    return State(PerHead(LOWEST), PerHead(), Fours(), Fours());
  }
  if (is_first_block && is_placed(row)) {
    append(lane + slot_of(u32(sequences[row]), position_of(row), kv_head), key, value);
  }
  let x = eight(value);
  let zero = vec4<f32>();
  let once = Fours(PerHead(1), PerHead(), PerHead(), PerHead());
  return State(
    scores[0],
    PerHead(1),
    weighted(x.low, zero, zero, zero, once),
    weighted(x.high, zero, zero, zero, once),
  );
}
#endif

// A state after four more keys.
fn after(state: State, scores: Fours, seen: vec4<bool>, four: FourStored) -> State {
  let none = PerHead(LOWEST);
  let top = max(
    max(select(none, scores[0], seen.x), select(none, scores[1], seen.y)),
    max(select(none, scores[2], seen.z), select(none, scores[3], seen.w)),
  );
  let risen = max(state.highest, top);
  let kept = exp(state.highest - risen);
  let weights = Fours(
    select(PerHead(), exp(scores[0] - risen), seen.x),
    select(PerHead(), exp(scores[1] - risen), seen.y),
    select(PerHead(), exp(scores[2] - risen), seen.z),
    select(PerHead(), exp(scores[3] - risen), seen.w),
  );
  let x = eight(four.x);
  let y = eight(four.y);
  let z = eight(four.z);
  let w = eight(four.w);
  return State(
    risen,
    state.mass * kept + weights[0] + weights[1] + weights[2] + weights[3],
    scaled(state.low, kept) + weighted(x.low, y.low, z.low, w.low, weights),
    scaled(state.high, kept) + weighted(x.high, y.high, z.high, w.high, weights),
  );
}

// Every team's state after its keys of [start, end). The loads of a round's values and of the next round's keys
// are on their way while its scores are summed.
fn attend(
  before: State,
  queries: Queries,
  sequence: u32,
  kv_head: u32,
  start: u32,
  end: u32,
  thread: u32,
) -> State {
  var state = before;
  var at = start + thread / LANES + vec4<u32>(0, TEAMS, 2 * TEAMS, 3 * TEAMS);
  var slots = slots_of(sequence, at, end, kv_head, thread % LANES);
  var keys_here = four_keys(slots);
  for (var round = start; round < end; round += ROUND_KEYS) {
    let values_here = four_values(slots);
    let seen = at < vec4<u32>(end);
    at += ROUND_KEYS;
    slots = slots_of(sequence, at, end, kv_head, thread % LANES);
    let keys_next = four_keys(slots);
    let scores = team_sum(Fours(
      score(keys_here.x, queries),
      score(keys_here.y, queries),
      score(keys_here.z, queries),
      score(keys_here.w, queries),
    ), thread);
    keys_here = keys_next;
    state = after(state, scores, seen, values_here);
  }
  return state;
}

// Where the result goes: a row, one of the parts of its context, and the heads of a block.
struct Place {
  row: u32,
  part: u32,
  parts: u32,
  head: u32,
  last_head: u32,
}

// Merges the teams, everything relative to the highest score of all, and stores the result.
fn finish(state: State, place: Place, thread: u32) {
  let team = thread / LANES;
  if (thread % LANES == 0) {
    team_highest[team] = state.highest;
    team_mass[team] = state.mass;
  }
  workgroupBarrier();
  var highest = state.highest;
  for (var i = 0u; i < TEAMS; i++) {
    highest = max(highest, team_highest[i]);
  }
  var mass = PerHead();
  for (var i = 0u; i < TEAMS; i++) {
    mass += team_mass[i] * exp(team_highest[i] - highest);
  }
  let low = scaled(state.low, exp(state.highest - highest));
  let high = scaled(state.high, exp(state.highest - highest));
  var columns: array<vec4<f32>, 2 * HEADS_HERE>;
#if HEADS_HERE == 1
  columns[0] = low;
  columns[1] = high;
#else
#for HEAD 0 4
  columns[HEAD] = low[HEAD];
  columns[HEAD + 4] = high[HEAD];
#endfor
#endif
#for PHASE 0 2 * HEADS_HERE / COLUMNS
  workgroupBarrier();
#for COLUMN 0 COLUMNS
  exchange[COLUMN * THREADS + thread] = columns[PHASE * COLUMNS + COLUMN];
#endfor
  workgroupBarrier();
  for (var i = thread; i < COLUMNS * LANES; i += THREADS) {
    let column = PHASE * COLUMNS + i / LANES;
    let head = column % HEADS_HERE;
    let dim = i % LANES * 8 + column / HEADS_HERE * 4;
    let sum = sum_of_teams(i / LANES, i % LANES);
    store(place, head, dim, sum, of_head(highest, head), of_head(mass, head));
  }
#endfor
}

fn sum_of_teams(column: u32, lane: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  for (var team = 0u; team < TEAMS; team++) {
    sum += exchange[column * THREADS + team * LANES + lane];
  }
  return sum;
}

// Stores four elements of one of the block's heads.
fn store(place: Place, index: u32, dim: u32, sum: vec4<f32>, highest: f32, mass: f32) {
  let head = place.head + index;
  if (head > place.last_head || dim >= HEAD_DIM) {
    return;
  }
#ifdef SPLIT
  let first = ((place.part * step.tokens + place.row) * HEADS + head) * PART;
  let value = sum;
  if (dim == 0) {
    result[first + HEAD_DIM] = highest;
    result[first + HEAD_DIM + 1] = mass;
    result[first + HEAD_DIM + 2] = f32(place.parts);
  }
#else
  let first = (place.row * HEADS + head) * HEAD_DIM;
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
  let part_rounds = (rounds + groups.z - 1) / groups.z;
  let start = first + group.z * part_rounds * ROUND_KEYS;
  let stop = start + part_rounds * ROUND_KEYS;
  if (start > position) {
    return;
  }
  let sequence = u32(sequences[row]);
  let kv_head = group.x / BLOCKS;
  let head = kv_head * GROUP + group.x % BLOCKS * HEADS_HERE;
  let last_head = kv_head * GROUP + GROUP - 1;
  stage(row, min(head + vec4<u32>(0, 1, 2, 3), vec4<u32>(last_head)), thread);
  let vector = 2 * (thread % LANES);
  let queries = Queries(staged_vectors(vector), staged_vectors(vector + 1));

  var state = State(PerHead(LOWEST), PerHead(), Fours(), Fours());
#ifdef ROTATE
  let end = min(stop, position);
  if (stop > position) {
    state = own_token(row, kv_head, group.x % BLOCKS == 0, queries, thread);
  }
#else
  let end = min(stop, position + 1);
#endif
  state = attend(state, queries, sequence, kv_head, start, end, thread);
  let parts = (rounds + part_rounds - 1) / part_rounds;
  finish(state, Place(row, group.z, parts, head, last_head), thread);
}
