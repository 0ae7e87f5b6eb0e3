// Blocks of 256 in nine vectors: scale, minimum and the packed scales and minima of eight runs of 32 as stored;
// then eight vectors of nibbles. Word w of vector j holds elements 4 * j to + 3 of run 2 * w low, of 2 * w + 1
// high.
#define UNITS (ROW_VECTORS / 9 * 8)
#define PARTS 8

// Of the even runs (low nibbles) and the odd ones: 16 times the scale, and 16 times the scale plus the minimum.
struct Unit {
  nibbles: vec4u,
  low_scales: vec4f,
  low_offsets: vec4f,
  high_scales: vec4f,
  high_offsets: vec4f,
}

fn load_unit(row: u32, unit: u32) -> Unit {
  let block = row * ROW_VECTORS + unit / 8u * 9u;
  let header = weights[block];
  let both = unpack2x16float(header.x);
  let first = vec4f(16.0 * both.x);
  // Six bits each. Runs 0 to 3 have bytes of their own; 4 to 7 share nibbles and the others' two high bits.
  let scales = bytes(header.y & 0x3f3f3f3fu);
  let more_scales = bytes((header.w & 0x0f0f0f0fu) | ((header.y >> 2u) & 0x30303030u));
  let minima = bytes(header.z & 0x3f3f3f3fu) * both.y;
  let more_minima = bytes(((header.w >> 4u) & 0x0f0f0f0fu) | ((header.z >> 2u) & 0x30303030u)) * both.y;
  let low = vec4f(scales.xz, more_scales.xz) * first;
  let high = vec4f(scales.yw, more_scales.yw) * first;
  return Unit(
    weights[block + 1u + unit % 8u],
    low,
    -low - vec4f(minima.xz, more_minima.xz),
    high,
    -high - vec4f(minima.yw, more_minima.yw),
  );
}

fn bytes(word: u32) -> vec4f {
  return vec4f((vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu));
}

fn decode(unit: Unit, part: u32) -> vec4f {
  let word = part / 2u;
  let nibbles = unit.nibbles[word];
  if (part % 2u == 0u) {
    return fma(nibble_mantissas(nibbles), vec4f(unit.low_scales[word]), vec4f(unit.low_offsets[word]));
  }
  return fma(
    nibble_mantissas(nibbles >> 4u),
    vec4f(unit.high_scales[word]),
    vec4f(unit.high_offsets[word]),
  );
}

fn nibble_mantissas(low: u32) -> vec4f {
  return mantissas(vec4u(low << 19u, low << 11u, low << 3u, low >> 5u), 0x00780000u);
}

fn part_index(unit: u32, part: u32) -> u32 {
  return unit / 8u * 64u + part * 8u + unit % 8u;
}

fn weight4(row: u32, index: u32) -> vec4f {
  let block = row * ROW_VECTORS + index / 64u * 9u;
  let header = weights[block];
  let both = unpack2x16float(header.x);
  let run = index / 8u % 8u;
  let at = run % 4u * 8u;
  let own = vec2u(header.y, header.z) >> vec2u(at);
  let shared_bits = vec2u(header.w, header.w >> 4u) >> vec2u(at);
  let late = (shared_bits & vec2u(15u)) | ((own >> vec2u(2u)) & vec2u(0x30u));
  let scale = vec2f(select(own & vec2u(63u), late, run >= 4u)) * both;
  let nibbles = weights[block + 1u + index % 8u][run / 2u] >> (4u * (run % 2u));
  return fma(nibble_mantissas(nibbles), vec4f(16.0 * scale.x), vec4f(-16.0 * scale.x - scale.y));
}
