// Groups of eight blocks of 32 in 17 vectors: the blocks' eight f16 scales, then 16 vectors of bytes biased by
// 128. Word w of vector j holds elements 4 * (16 * w + j) to + 3 of the group; its block is 2 * w + j / 8.
#define UNITS (ROW_VECTORS / 17 * 16)
#define PARTS 4

struct Unit {
  bytes: vec4u,
  scales: vec4u,
}

fn load_unit(row: u32, unit: u32) -> Unit {
  let group = row * ROW_VECTORS + unit / 16u * 17u;
  let vector = unit % 16u;
  return Unit(weights[group + 1u + vector], weights[group] >> vec4u(vector / 8u * 16u));
}

fn decode(unit: Unit, part: u32) -> vec4f {
  return scaled(unit.bytes[part], unpack2x16float(unit.scales[part]).x);
}

fn part_index(unit: u32, part: u32) -> u32 {
  return unit / 16u * 64u + part * 16u + unit % 16u;
}

// (1 + byte / 256 - 1.5) * 256 is the byte less 128; every step is exact.
fn scaled(bytes: u32, scale: f32) -> vec4f {
  let shifted = vec4u(bytes << 15u, bytes << 7u, bytes >> 1u, bytes >> 9u);
  return fma(mantissas(shifted, 0x007f8000u), vec4f(256.0 * scale), vec4f(-384.0 * scale));
}

fn weight4(row: u32, index: u32) -> vec4f {
  let group = row * ROW_VECTORS + index / 64u * 17u;
  let vector = index % 16u;
  let word = index / 16u % 4u;
  let scale = unpack2x16float(weights[group][word] >> (vector / 8u * 16u)).x;
  return scaled(weights[group + 1u + vector][word], scale);
}
