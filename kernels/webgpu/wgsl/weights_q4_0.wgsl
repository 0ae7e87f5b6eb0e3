// Groups of eight blocks of 32 in nine vectors: the blocks' eight f16 scales, then eight vectors of nibbles
// biased by 8. Word w of vector j holds elements 4 * j to + 3 of block 2 * w low, of block 2 * w + 1 high.
#define UNITS (ROW_VECTORS / 9 * 8)
#define PARTS 8

struct Unit {
  nibbles: vec4u,
  scales: vec4u,
}

fn load_unit(row: u32, unit: u32) -> Unit {
  let group = row * ROW_VECTORS + unit / 8u * 9u;
  return Unit(weights[group + 1u + unit % 8u], weights[group]);
}

fn decode(unit: Unit, part: u32) -> vec4f {
  return scaled(unit.nibbles[part / 2u], unpack2x16float(unit.scales[part / 2u]), part % 2u);
}

// (1 + nibble / 16 - 1.5) * 16 is the nibble less 8; every step is exact.
fn scaled(nibbles: u32, scales: vec2f, high: u32) -> vec4f {
  let scale = select(scales.x, scales.y, high == 1u);
  return fma(nibble_mantissas(nibbles >> (4u * high)), vec4f(16.0 * scale), vec4f(-24.0 * scale));
}

fn nibble_mantissas(low: u32) -> vec4f {
  return mantissas(vec4u(low << 19u, low << 11u, low << 3u, low >> 5u), 0x00780000u);
}

fn part_index(unit: u32, part: u32) -> u32 {
  return unit / 8u * 64u + part * 8u + unit % 8u;
}

fn weight4(row: u32, index: u32) -> vec4f {
  let group = row * ROW_VECTORS + index / 64u * 9u;
  let word = index / 16u % 4u;
  let scales = unpack2x16float(weights[group][word]);
  return scaled(weights[group + 1u + index % 8u][word], scales, index / 8u % 2u);
}
