// What the attention kernels share: bindings 1 to 6, the paged cache, and which rows go in tiles.

@group(0) @binding(1) var<storage, read> qkv: array<f32>;
@group(0) @binding(2) var<storage, CACHE_ACCESS> keys: array<Cell>;
@group(0) @binding(3) var<storage, CACHE_ACCESS> values: array<Cell>;
@group(0) @binding(4) var<storage, read> positions: array<i32>;
@group(0) @binding(5) var<storage, read> sequences: array<i32>;
@group(0) @binding(6) var<storage, read> pages: array<i32>;

// Below every score, and finite: the difference of two of it is 0.
const LOWEST = -1e30;

// Eight elements of a slot; `Stored` is how the cache has them.
struct Eight {
  low: vec4<f32>,
  high: vec4<f32>,
}

// Indices are in units of eight elements.
#ifdef HALVES
alias Cell = vec4<u32>;
alias Stored = vec4<u32>;

fn eight(stored: Stored) -> Eight {
  return Eight(
    vec4<f32>(unpack2x16float(stored.x), unpack2x16float(stored.y)),
    vec4<f32>(unpack2x16float(stored.z), unpack2x16float(stored.w)),
  );
}

fn key_at(index: u32) -> Stored {
  return keys[index];
}

fn value_at(index: u32) -> Stored {
  return values[index];
}
#elif defined(INTEGERS)
// A slot is 2 * LANES words of four integers each, then the scale of every four lanes.
alias Cell = u32;
// Eight integers, and the bits of their scale.
alias Stored = vec3<u32>;

fn eight(stored: Stored) -> Eight {
  let scale = bitcast<f32>(stored.z);
  return Eight(scale * integers_of(stored.x), scale * integers_of(stored.y));
}

fn integers_of(word: u32) -> vec4<f32> {
  return vec4<f32>(vec4<i32>(vec4<u32>(word) << vec4<u32>(24, 16, 8, 0)) >> vec4<u32>(24));
}

// Where eight integers begin, and where their scale is.
fn words_of(index: u32) -> vec2<u32> {
  let start = index / LANES * SLOT_WORDS;
  let lane = index % LANES;
  return start + vec2<u32>(2 * lane, 2 * LANES + lane / 4);
}

fn key_at(index: u32) -> Stored {
  let at = words_of(index);
  return Stored(keys[at.x], keys[at.x + 1], keys[at.y]);
}

fn value_at(index: u32) -> Stored {
  let at = words_of(index);
  return Stored(values[at.x], values[at.x + 1], values[at.y]);
}
#else
alias Cell = vec4<f32>;
alias Stored = Eight;

fn eight(stored: Stored) -> Eight {
  return stored;
}

fn key_at(index: u32) -> Stored {
  return Eight(keys[2 * index], keys[2 * index + 1]);
}

fn value_at(index: u32) -> Stored {
  return Eight(values[2 * index], values[2 * index + 1]);
}
#endif

// Where a head's slot begins, in units of eight elements.
fn slot_of(sequence: u32, position: u32, head: u32) -> u32 {
  let page = u32(pages[sequence * SEQUENCE_PAGES + position / PAGE_SIZE]);
  return ((page * KV_HEADS + head) * PAGE_SIZE + position % PAGE_SIZE) * LANES;
}

// The position of a row; one that no page table holds would loop for hours.
fn position_of(row: u32) -> u32 {
  return min(u32(positions[row]), SEQUENCE_PAGES * PAGE_SIZE - 1);
}

// The first position that a token at `position` sees.
fn first_seen(position: u32) -> u32 {
#if WINDOW > 0
  return max(position + 1, WINDOW) - WINDOW;
#else
  return 0;
#endif
}

// Four elements from `dim` on of a head of qkv; 0 beyond it.
fn four_of(row: u32, head: u32, dim: u32) -> vec4<f32> {
  let at = row * QKV_WIDTH + head * HEAD_DIM + dim;
  let whole = vec4<f32>(qkv[at], qkv[at + 1], qkv[at + 2], qkv[at + 3]);
#if HEAD_DIM % 8 == 0
  return whole;
#else
  return select(vec4<f32>(), whole, dim + vec4<u32>(0, 1, 2, 3) < vec4<u32>(HEAD_DIM));
#endif
}

// Whether the tile of rows around `row` is of one sequence and goes to the tiled kernel: the last one if it has a
// few rows, or those before it are of that sequence, too. All loads at once.
fn is_tiled(row: u32) -> bool {
  if (step.tokens < TILED_FROM) {
    return false;
  }
  let first = row / TILE_ROWS * TILE_ROWS;
  let last = min(first + TILE_ROWS, step.tokens) - 1;
  let sequence = sequences[first];
  var others = 0;
#for I 1 TILE_ROWS
  others |= sequences[min(first + I, last)] ^ sequence;
#endfor
  let goes_on = sequences[max(first, 1) - 1] == sequence;
  return others == 0 && (goes_on || last - first >= TILE_ROWS / 4 - 1);
}
