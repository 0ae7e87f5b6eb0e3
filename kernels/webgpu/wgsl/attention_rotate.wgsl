// Norms and rotates the queries of a block and the key of a row, and appends key and value, as rotate_append.

@group(0) @binding(8) var<storage, read> table: array<f32>;
#ifdef QUERY_NORM
@group(0) @binding(QUERY_NORM) var<storage, read> query_norm: array<f32>;
#endif
#ifdef KEY_NORM
@group(0) @binding(KEY_NORM) var<storage, read> key_norm: array<f32>;
#endif

const HALF = HEAD_DIM / 2u;

// The queries of a block and a key before the rotation.
var<workgroup> normed: array<f32, 8 * (HEADS_HERE + 1) * LANES>;

#ifdef HALVES
fn stored(x: Eight) -> Stored {
  return vec4<u32>(
    pack2x16float(x.low.xy),
    pack2x16float(x.low.zw),
    pack2x16float(x.high.xy),
    pack2x16float(x.high.zw),
  );
}

fn append(at: u32, key: Stored, value: Stored) {
  keys[at] = key;
  values[at] = value;
}
#elif defined(INTEGERS)
fn stored(x: Eight, largest: f32) -> Stored {
  let inverse = select(0.0, 127 / largest, largest > 0);
  return Stored(integers(x.low * inverse), integers(x.high * inverse), bitcast<u32>(largest / 127));
}

fn integers(x: vec4<f32>) -> u32 {
  let bytes = vec4<u32>(vec4<i32>(round(x))) & vec4<u32>(255);
  return bytes.x | bytes.y << 8 | bytes.z << 16 | bytes.w << 24;
}

fn largest_of(x: vec4<f32>) -> f32 {
  let y = abs(x);
  return max(max(y.x, y.y), max(y.z, y.w));
}

// The largest element of the block of the staged key that a lane has a part of.
fn largest_key(lane: u32) -> f32 {
  var largest = 0.0;
  for (var i = lane / 4 * 8; i < min(lane / 4 * 8 + 8, 2 * LANES); i++) {
    largest = max(largest, largest_of(staged[2 * HEADS_HERE * LANES + i]));
  }
  return largest;
}

// The same of the row's value.
fn largest_value(row: u32, head: u32, lane: u32) -> f32 {
  var largest = 0.0;
  for (var dim = lane / 4 * 32; dim < min(lane / 4 * 32 + 32, HEAD_DIM); dim += 4) {
    largest = max(largest, largest_of(four_of(row, head, dim)));
  }
  return largest;
}

fn append(at: u32, key: Stored, value: Stored) {
  let words = words_of(at);
  keys[words.x] = key.x;
  keys[words.x + 1] = key.y;
  values[words.x] = value.x;
  values[words.x + 1] = value.y;
  if (at % LANES % 4 == 0) {
    keys[words.y] = key.z;
    values[words.y] = value.z;
  }
}
#else
fn stored(x: Eight) -> Stored {
  return x;
}

fn append(at: u32, key: Stored, value: Stored) {
  keys[2 * at] = key.low;
  keys[2 * at + 1] = key.high;
  values[2 * at] = value.low;
  values[2 * at + 1] = value.high;
}
#endif

// Whether a row has a place in the cache.
fn is_placed(row: u32) -> bool {
  let position = u32(positions[row]);
  let sequence = u32(sequences[row]);
  if (sequence >= SEQUENCES || position / PAGE_SIZE >= SEQUENCE_PAGES) {
    return false;
  }
  return u32(pages[sequence * SEQUENCE_PAGES + position / PAGE_SIZE]) < PAGES;
}

fn eight_of(row: u32, head: u32, dim: u32) -> Eight {
  return Eight(four_of(row, head, dim), four_of(row, head, dim + 4));
}

// Element `dim` of head `index` of the normed ones, rotated: pairs (i, i + HALF).
fn rotated(index: u32, dim: u32, position: u32) -> f32 {
  let pair = dim % HALF;
  let c = table[position * HEAD_DIM + pair];
  let s = table[position * HEAD_DIM + HALF + pair];
  let other = normed[8 * LANES * index + (dim + HALF) % HEAD_DIM];
  let value = normed[8 * LANES * index + dim] * c + select(other, -other, dim < HALF) * s;
  return select(0.0, value, dim < HEAD_DIM);
}

// Puts the queries and the key to `normed`: a team each.
fn norm_heads(row: u32, heads: vec4<u32>, thread: u32) {
  let lane = thread % LANES;
  for (var first = 0u; first < HEADS_HERE + 1; first += TEAMS) {
    let index = first + thread / LANES;
    let is_key = index == HEADS_HERE;
    let head = select(heads[min(index, HEADS_HERE - 1)], HEADS + heads.x / GROUP, is_key);
    var x = eight_of(row, head, 8 * lane);
#if NORMS
    let squares = PerHead(dot(x.low, x.low) + dot(x.high, x.high));
    let sums = team_sum(Fours(squares, PerHead(), PerHead(), PerHead()), thread);
    let scale = inverseSqrt(of_head(sums[0], 0) / HEAD_DIM + EPS);
#endif
    for (var i = 0u; i < 8 && index <= HEADS_HERE; i++) {
      let dim = 8 * lane + i;
      var value = select(x.low[i % 4], x.high[i % 4], i >= 4);
#ifdef QUERY_NORM
      if (!is_key) {
        value *= scale * query_norm[min(dim, HEAD_DIM - 1)];
      }
#endif
#ifdef KEY_NORM
      if (is_key) {
        value *= scale * key_norm[min(dim, HEAD_DIM - 1)];
      }
#endif
      normed[8 * LANES * index + dim] = value;
    }
  }
  workgroupBarrier();
}

fn stage(row: u32, heads: vec4<u32>, thread: u32) {
  norm_heads(row, heads, thread);
  let position = u32(positions[row]);
  for (var i = thread; i < 2 * (HEADS_HERE + 1) * LANES; i += THREADS) {
    let index = i / (2 * LANES);
    let dim = 4 * (i % (2 * LANES));
    staged[i] = vec4<f32>(
      rotated(index, dim, position),
      rotated(index, dim + 1, position),
      rotated(index, dim + 2, position),
      rotated(index, dim + 3, position),
    );
  }
  workgroupBarrier();
}
