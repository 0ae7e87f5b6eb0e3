// Groups of eight blocks of 32 in nine vectors: the blocks' eight f16 scales, then their nibbles biased by 8.
#include "weights_nibbles.wgsl"

// Of two blocks: their nibbles, and their scales.
struct Unit {
  nibbles: vec4u,
  scales: u32,
}

fn load_unit(row: u32, unit: u32) -> Unit {
  let group = row * ROW_VECTORS + unit / 8u * 9u;
  return Unit(weights[group + 1u + unit % 8u], weights[group][unit % 8u / 2u]);
}

fn decode(unit: Unit, part: u32) -> vec4f {
  let block = part / 4u;
  return scaled(unit.nibbles[part % 4u] >> (4u * block), unpack2x16float(unit.scales)[block]);
}

// 16 times the elements: nibbles in the upper halves of bytes, their bias taken off by the sign.
fn integers(unit: Unit, half: u32) -> vec4u {
  let upper = select(unit.nibbles << vec4u(4u), unit.nibbles, half == 1u);
  return (upper & vec4u(0xf0f0f0f0u)) ^ vec4u(0x80808080u);
}

fn integer_scale(unit: Unit, half: u32) -> f32 {
  return unpack2x16float(unit.scales)[half] / 16.0;
}

// (1 + nibble / 16 - 1.5) * 16 is the nibble less 8; every step is exact.
fn scaled(nibbles: u32, scale: f32) -> vec4f {
  return fma(nibble_mantissas(nibbles), vec4f(16.0 * scale), vec4f(-24.0 * scale));
}

fn weight4(row: u32, index: u32) -> vec4f {
  let group = group_of(row, index);
  let block = index / 8u % 8u;
  return scaled(nibbles4(group, index), unpack2x16float(weights[group][block / 2u])[block % 2u]);
}
