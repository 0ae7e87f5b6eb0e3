// Eight elements a vector: the high halves of floats.
#define UNITS ROW_VECTORS
#define PARTS 2
alias Unit = vec4u;

fn load_unit(row: u32, unit: u32) -> Unit {
  return weights[row * ROW_VECTORS + unit];
}

fn decode(unit: Unit, part: u32) -> vec4f {
  let pair = select(unit.xy, unit.zw, part == 1u);
  return bitcast<vec4f>(vec4u(pair << vec2u(16u), pair & vec2u(0xffff0000u)).xzyw);
}

fn part_index(unit: u32, part: u32) -> u32 {
  return 2u * unit + part;
}

fn weight4(row: u32, index: u32) -> vec4f {
  return decode(weights[row * ROW_VECTORS + index / 2u], index % 2u);
}
