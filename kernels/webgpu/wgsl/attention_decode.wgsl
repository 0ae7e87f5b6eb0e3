// Attention of single tokens over their paged context. A workgroup takes one token, one part of its context,
// and HEADS_HERE query heads of a KV head, which share the loads. LANES threads hold eight elements each of
// one key (a team); the teams take keys in turn, FOURS times four a round, each with its own online softmax
// (Milakov and Gimelshein 2018), and are merged at the end. What costs time is waiting for loads that need others:
// pages come first and all at once, then keys, a round ahead, and values. With SPLIT the context is in as many parts as the
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

// Pages of the sequence, from the one with the first key of a segment on.
var<workgroup> pages_here: array<u32, PAGES_HERE>;

fn load_pages(sequence: u32, start: u32, thread: u32) {
  for (var i = thread; i < PAGES_HERE; i += THREADS) {
    let page = min(start / PAGE_SIZE + i, SEQUENCE_PAGES - 1);
    pages_here[i] = u32(pages[sequence * SEQUENCE_PAGES + page]);
  }
  workgroupBarrier();
}

// Where this thread's keys of a round are.
struct Walk {
  // The first position of the segment, one after its last, and what the cells of this lane and head begin with.
  segment: u32,
  end: u32,
  kv_head: u32,
  lane: u32,
}

// This lane's cell of a key; those from the end on repeat the last.
fn cell_of(walk: Walk, position: u32) -> u32 {
  let held = min(position, max(walk.end, 1) - 1);
  let page = pages_here[min(held / PAGE_SIZE - walk.segment / PAGE_SIZE, PAGES_HERE - 1)];
  return ((page * KV_HEADS + walk.kv_head) * PAGE_SIZE + held % PAGE_SIZE) * LANES + walk.lane;
}

fn cells_of(walk: Walk, at: vec4<u32>) -> vec4<u32> {
  return vec4<u32>(
    cell_of(walk, at.x),
    cell_of(walk, at.y),
    cell_of(walk, at.z),
    cell_of(walk, at.w),
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
  let value_head = HEADS + KV_HEADS + kv_head;
#ifdef INTEGERS
  let key = stored(Eight(staged[at], staged[at + 1]), largest_key(lane));
  let value = stored(eight_of(row, value_head, 8 * lane), largest_value(row, value_head, lane));
#else
  let key = stored(Eight(staged[at], staged[at + 1]));
  let value = stored(eight_of(row, value_head, 8 * lane));
#endif
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

// The positions of a team's four keys, `index` fours into a round.
fn round_keys(start: u32, index: u32, thread: u32) -> vec4<u32> {
  return start + thread / LANES + TEAMS * (4 * index + vec4<u32>(0, 1, 2, 3));
}

// The keys of a round of this thread.
struct Round {
  cells: array<vec4<u32>, FOURS>,
  keys: array<FourStored, FOURS>,
}

fn load_round(walk: Walk, start: u32, thread: u32) -> Round {
  var round: Round;
#for FOUR 0 FOURS
  round.cells[FOUR] = cells_of(walk, round_keys(start, FOUR, thread));
#endfor
#for FOUR 0 FOURS
  round.keys[FOUR] = four_keys(round.cells[FOUR]);
#endfor
  return round;
}

// Every team's state after its keys of a segment, of which `first` is the first round. Its bounds are apart from the
// walk, which differs from thread to thread.
fn attend(
  before: State,
  queries: Queries,
  walk: Walk,
  segment: u32,
  end: u32,
  first: Round,
  thread: u32,
) -> State {
  var state = before;
  var round = first;
  for (var start = segment; start < end; start += ROUND_KEYS) {
    var values_here: array<FourStored, FOURS>;
#for FOUR 0 FOURS
    values_here[FOUR] = four_values(round.cells[FOUR]);
#endfor
    let next = load_round(walk, start + ROUND_KEYS, thread);
#for FOUR 0 FOURS
    {
      let four = round.keys[FOUR];
      let scores = team_sum(Fours(
        score(four.x, queries),
        score(four.y, queries),
        score(four.z, queries),
        score(four.w, queries),
      ), thread);
      let seen = round_keys(start, FOUR, thread) < vec4<u32>(end);
      state = after(state, scores, seen, values_here[FOUR]);
    }
#endfor
    round = next;
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
  var mass = PerHead();
  for (var i = 0u; i < TEAMS; i += TEAM_UNROLL) {
#for STEP 0 TEAM_UNROLL
    highest = max(highest, team_highest[i + STEP]);
#endfor
  }
  for (var i = 0u; i < TEAMS; i += TEAM_UNROLL) {
#for STEP 0 TEAM_UNROLL
    mass += team_mass[i + STEP] * exp(team_highest[i + STEP] - highest);
#endfor
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
  for (var i = 0u; i < TEAMS; i += TEAM_UNROLL) {
#for STEP 0 TEAM_UNROLL
    sum += exchange[column * THREADS + (i + STEP) * LANES + lane];
#endfor
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
#ifdef ROTATE
  let end = min(stop, position);
#else
  let end = min(stop, position + 1);
#endif
  load_pages(sequence, start, thread);
  let lane = thread % LANES;
  let segment_end = min(end, start + SEGMENT_KEYS);
  var walk = Walk(start, segment_end, kv_head, lane);
  var round = load_round(walk, start, thread);

  stage(row, min(head + vec4<u32>(0, 1, 2, 3), vec4<u32>(last_head)), thread);
  let queries = Queries(staged_vectors(2 * lane), staged_vectors(2 * lane + 1));
  var state = State(PerHead(LOWEST), PerHead(), Fours(), Fours());
#ifdef ROTATE
  if (stop > position) {
    state = own_token(row, kv_head, group.x % BLOCKS == 0, queries, thread);
  }
#endif
  state = attend(state, queries, walk, start, segment_end, round, thread);
  for (var segment = segment_end; segment < end; segment += SEGMENT_KEYS) {
    workgroupBarrier();
    load_pages(sequence, segment, thread);
    let next_end = min(end, segment + SEGMENT_KEYS);
    walk = Walk(segment, next_end, kv_head, lane);
    round = load_round(walk, segment, thread);
    state = attend(state, queries, walk, segment, next_end, round, thread);
  }
  let parts = (rounds + part_rounds - 1) / part_rounds;
  finish(state, Place(row, group.z, parts, head, last_head), thread);
}
