// Groups of eight blocks of 32 in 17 vectors: the blocks' eight f16 scales, then their signed bytes, half a block a
// vector.
#define UNITS (ROW_VECTORS / 17 * 16)
#define PARTS 4
#define X_UNITS 1

struct Unit {
  bytes: vec4u,
  scale: u32,
}

fn load_unit(row: u32, unit: u32) -> Unit {
  let group = row * ROW_VECTORS + unit / 16u * 17u;
  let vector = unit % 16u;
  return Unit(weights[group + 1u + vector], weights[group][vector / 4u] >> (vector / 2u % 2u * 16u));
}

fn decode(unit: Unit, part: u32) -> vec4f {
  return scaled(unit.bytes[part], unpack2x16float(unit.scale).x);
}

fn part_index(unit: u32, part: u32) -> u32 {
  return unit * 4u + part;
}

fn x_unit(unit: u32, half: u32) -> u32 {
  return unit;
}

fn integers(unit: Unit, half: u32) -> vec4u {
  return unit.bytes;
}

fn integer_scale(unit: Unit, half: u32) -> f32 {
  return unpack2x16float(unit.scale).x;
}

// (1 + biased / 256 - 1.5) * 256 is the byte, which is biased by 128; every step is exact.
fn scaled(bytes: u32, scale: f32) -> vec4f {
  let biased = bytes ^ 0x80808080u;
  let shifted = vec4u(biased << 15u, biased << 7u, biased >> 1u, biased >> 9u);
  return fma(mantissas(shifted, 0x007f8000u), vec4f(256.0 * scale), vec4f(-384.0 * scale));
}

fn weight4(row: u32, index: u32) -> vec4f {
  let group = row * ROW_VECTORS + index / 64u * 17u;
  let block = index / 8u % 8u;
  let scale = unpack2x16float(weights[group][block / 2u] >> (block % 2u * 16u)).x;
  return scaled(weights[group + 1u + index / 4u % 16u][index % 4u], scale);
}
