// Blocks of 256 in nine vectors, as stored: scale, minimum and the packed scales and minima of eight runs of 32, then
// their nibbles.
#include "weights_nibbles.wgsl"
#define MINIMA

// Of both runs: the scale, and the minimum.
struct Unit {
  nibbles: vec4u,
  scales: vec2f,
  minima: vec2f,
}

fn load_unit(row: u32, unit: u32) -> Unit {
  let block = row * ROW_VECTORS + unit / 8u * 9u;
  let header = weights[block];
  let first = run_scale(header, unit % 8u / 2u * 2u);
  let second = run_scale(header, unit % 8u / 2u * 2u + 1u);
  return Unit(
    weights[block + 1u + unit % 8u],
    vec2f(first.x, second.x),
    vec2f(first.y, second.y),
  );
}

// Scale and minimum of a run. Six bits each: runs 0 to 3 have bytes of their own; 4 to 7 share nibbles and the others'
// two high bits.
fn run_scale(header: vec4u, run: u32) -> vec2f {
  let at = run % 4u * 8u;
  let own = vec2u(header.y, header.z) >> vec2u(at);
  let shared_bits = vec2u(header.w, header.w >> 4u) >> vec2u(at);
  let late = (shared_bits & vec2u(15u)) | ((own >> vec2u(2u)) & vec2u(0x30u));
  return vec2f(select(own & vec2u(63u), late, run >= 4u)) * unpack2x16float(header.x);
}

fn decode(unit: Unit, part: u32) -> vec4f {
  let run = part / 4u;
  return scaled(unit.nibbles[part % 4u] >> (4u * run), unit.scales[run], unit.minima[run]);
}

fn integers(unit: Unit, half: u32) -> vec4u {
  return (unit.nibbles >> vec4u(4u * half)) & vec4u(0x0f0f0f0fu);
}

fn integer_scale(unit: Unit, half: u32) -> f32 {
  return unit.scales[half];
}

fn integer_minimum(unit: Unit, half: u32) -> f32 {
  return unit.minima[half];
}

// (1 + nibble / 16 - 1) * 16 is the nibble.
fn scaled(nibbles: u32, scale: f32, minimum: f32) -> vec4f {
  return fma(nibble_mantissas(nibbles), vec4f(16.0 * scale), vec4f(-16.0 * scale - minimum));
}

fn weight4(row: u32, index: u32) -> vec4f {
  let group = group_of(row, index);
  let scale = run_scale(weights[group], index / 8u % 8u);
  return scaled(nibbles4(group, index), scale.x, scale.y);
}
