// Blocks of 256 in 14 vectors: the scale as f32 and three words of nothing; 16 signed scales, those of even
// halves of 32 first; eight vectors of low nibbles, of which word w of vector j holds elements 4 * j to + 3 of
// runs r and r + 2 for r = w + w / 2 * 2; four vectors of high pairs of bits, two words for each j, of which the
// fields of two bits belong to four runs.
#define UNITS (ROW_VECTORS / 14 * 8)
#define PARTS 8

struct Unit {
  nibbles: vec4u,
  pairs: vec2u,
  scales: array<vec4f, 2>,
}

fn load_unit(row: u32, unit: u32) -> Unit {
  let block = row * ROW_VECTORS + unit / 8u * 14u;
  let vector = unit % 8u;
  let scale = bitcast<f32>(weights[block].x);
  let bytes = weights[block + 1u];
  let four = select(bytes.xy, bytes.zw, vector >= 4u);
  let pairs = weights[block + 10u + vector / 2u];
  return Unit(
    weights[block + 2u + vector],
    select(pairs.xy, pairs.zw, vector % 2u == 1u),
    array<vec4f, 2>(unpack4x8(four.x) * scale, unpack4x8(four.y) * scale),
  );
}

fn unpack4x8(word: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(word << 24u, word << 16u, word << 8u, word)) >> vec4u(24u));
}

fn decode(unit: Unit, part: u32) -> vec4f {
  let side = part / 4u;
  let run = part % 4u;
  return scaled(unit.nibbles[2u * side + run % 2u], unit.pairs[side], run, unit.scales[side][run]);
}

// (1 + six bits / 64 - 1.5) * 64 is the number less 32; every step is exact.
fn scaled(nibbles: u32, pairs: u32, run: u32, scale: f32) -> vec4f {
  let low = (nibbles >> (run / 2u * 4u)) & 0x0f0f0f0fu;
  let six = low | (((pairs >> (2u * run)) & 0x03030303u) << 4u);
  let shifted = vec4u(six << 17u, six << 9u, six << 1u, six >> 7u);
  return fma(mantissas(shifted, 0x007e0000u), vec4f(64.0 * scale), vec4f(-96.0 * scale));
}

fn part_index(unit: u32, part: u32) -> u32 {
  return unit / 8u * 64u + part * 8u + unit % 8u;
}

fn weight4(row: u32, index: u32) -> vec4f {
  let block = row * ROW_VECTORS + index / 64u * 14u;
  let vector = index % 8u;
  let part = index / 8u % 8u;
  let side = part / 4u;
  let run = part % 4u;
  let bytes = weights[block + 1u][vector / 4u * 2u + side];
  let scale = f32(bitcast<i32>(bytes << (24u - 8u * run)) >> 24u) * bitcast<f32>(weights[block].x);
  let pairs = weights[block + 10u + vector / 2u][vector % 2u * 2u + side];
  return scaled(weights[block + 2u + vector][2u * side + run % 2u], pairs, run, scale);
}
