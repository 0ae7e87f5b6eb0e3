// Norms and rotates heads of one token, and appends keys and values to the cache. Heads are numbered as they lie
// in qkv: HEADS of queries, KV_HEADS of keys, KV_HEADS of values. A workgroup has one head; with ROW_NORMS, all
// heads of a kind, which are normed as one row.
#include "step.wgsl"
#include "reduce.wgsl"
@group(0) @binding(1) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(2) var<storage, read_write> keys: array<PAIR>;
@group(0) @binding(3) var<storage, read_write> values: array<PAIR>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> sequences: array<u32>;
@group(0) @binding(6) var<storage, read> pages: array<u32>;
@group(0) @binding(7) var<storage, read> table: array<f32>;
#ifdef QUERY_NORM
@group(0) @binding(8) var<storage, read> query_norm: array<f32>;
#endif
#ifdef KEY_NORM
@group(0) @binding(KEY_NORM) var<storage, read> key_norm: array<f32>;
#endif

const HALF = HEAD_DIM / 2u;
const NOWHERE = 0xffffffffu;
// The elements of the workgroup's heads, normed.
var<workgroup> normed: array<f32, SPAN * HEAD_DIM>;
#ifdef INTEGERS
// The same as they go to the cache.
var<workgroup> turned: array<f32, SPAN * HEAD_DIM>;
#endif

// The slot of a cached head; NOWHERE for a place that does not exist.
fn slot_of(token: u32, kv_head: u32) -> u32 {
  let position = positions[token];
  let sequence = sequences[token];
  let logical = position / PAGE_SIZE;
  if (sequence >= SEQUENCES || logical >= SEQUENCE_PAGES) {
    return NOWHERE;
  }
  let page = pages[sequence * SEQUENCE_PAGES + logical];
  if (page >= PAGES) {
    return NOWHERE;
  }
  return (page * KV_HEADS + kv_head) * PAGE_SIZE + position % PAGE_SIZE;
}

// Element i of the head that starts at `from`: pairs (i, i + HALF) turn by the position's angles.
fn rotated(first_element: u32, i: u32, position: u32) -> f32 {
  let pair = i % HALF;
  let c = table[position * HEAD_DIM + pair];
  let s = table[position * HEAD_DIM + HALF + pair];
  let other = normed[first_element + (i + HALF) % HEAD_DIM];
  return normed[first_element + i] * c + select(other, -other, i < HALF) * s;
}

#ifdef INTEGERS
// Word `word` of a slot: four integers of head `head` of the workgroup's; the first of a block also puts its scale.
fn append_integers(token: u32, head: u32, kv_head: u32, is_value: bool, word: u32) {
  let slot = slot_of(token, kv_head);
  if (slot == NOWHERE) {
    return;
  }
  let first = word / 8u * 32u;
  var largest = 0.0;
  for (var dim = first; dim < min(first + 32u, HEAD_DIM); dim++) {
    largest = max(largest, abs(turned[head * HEAD_DIM + dim]));
  }
  let inverse = select(0.0, 127.0 / largest, largest > 0.0);
  var integers = 0u;
  for (var dim = 4u * word; dim < min(4u * word + 4u, HEAD_DIM); dim++) {
    let integer = u32(i32(round(turned[head * HEAD_DIM + dim] * inverse))) & 255u;
    integers |= integer << (8u * (dim % 4u));
  }
  put(slot * SLOT_WORDS + word, integers, is_value);
  if (word % 8u == 0u) {
    put(slot * SLOT_WORDS + STRIDE / 4u + word / 8u, bitcast<u32>(largest / 127.0), is_value);
  }
}

fn put(at: u32, word: u32, is_value: bool) {
  if (is_value) {
    values[at] = word;
  } else {
    keys[at] = word;
  }
}
#elif defined(HALVES)
fn pack(pair: vec2f) -> PAIR {
  return pack2x16float(pair);
}
#else
fn pack(pair: vec2f) -> PAIR {
  return pair;
}
#endif

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let token = group.y;
#if ROW_NORMS
  let first = select(HEADS + (group.x - 1u) * KV_HEADS, 0u, group.x == 0u);
  let count = select(KV_HEADS, HEADS, group.x == 0u);
#else
  let first = group.x;
  let count = 1u;
#endif
  let start = (token * (HEADS + 2u * KV_HEADS) + first) * HEAD_DIM;
  let length = count * HEAD_DIM;
  let is_query = first < HEADS;
  let is_value = first >= HEADS + KV_HEADS;
  for (var i = lane; i < length; i += GROUP) {
    normed[i] = qkv[start + i];
  }
#if NORMS
  var squares = 0.0;
  for (var i = lane; i < length; i += GROUP) {
    squares += normed[i] * normed[i];
  }
  let scale = inverseSqrt(group_sum(squares, lane) / f32(length) + EPS);
  for (var i = lane; i < length; i += GROUP) {
#ifdef QUERY_NORM
    if (is_query) {
      normed[i] *= scale * query_norm[i];
    }
#endif
#ifdef KEY_NORM
    if (!is_query && !is_value) {
      normed[i] *= scale * key_norm[i];
    }
#endif
  }
#endif
  workgroupBarrier();
  let position = positions[token];
  for (var i = 2u * lane; i < length; i += 2u * GROUP) {
    let head_start = i / HEAD_DIM * HEAD_DIM;
    let inner = i % HEAD_DIM;
    var pair = vec2f(normed[i], normed[i + 1u]);
    if (!is_value) {
      pair = vec2f(rotated(head_start, inner, position), rotated(head_start, inner + 1u, position));
    }
    if (is_query) {
      qkv[start + i] = pair.x;
      qkv[start + i + 1u] = pair.y;
      continue;
    }
#ifdef INTEGERS
    turned[i] = pair.x;
    turned[i + 1u] = pair.y;
  }
  workgroupBarrier();
  const words = STRIDE / 4u;
  for (var i = lane; i < count * words && !is_query; i += GROUP) {
    let head = i / words;
    append_integers(token, head, (first + head - HEADS) % KV_HEADS, is_value, i % words);
  }
#else
    let slot = slot_of(token, (first + i / HEAD_DIM - HEADS) % KV_HEADS);
    if (slot == NOWHERE) {
      continue;
    }
    let at = (slot * STRIDE + inner) / 2u;
    if (is_value) {
      values[at] = pack(pair);
    } else {
      keys[at] = pack(pair);
    }
  }
#endif
}
