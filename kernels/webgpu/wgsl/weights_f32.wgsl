// Four elements a vector.
#define UNITS ROW_VECTORS
#define PARTS 1
alias Unit = vec4u;

fn load_unit(row: u32, unit: u32) -> Unit {
  return weights[row * ROW_VECTORS + unit];
}

fn decode(unit: Unit, part: u32) -> vec4f {
  return bitcast<vec4f>(unit);
}

fn part_index(unit: u32, part: u32) -> u32 {
  return unit;
}

fn weight4(row: u32, index: u32) -> vec4f {
  return bitcast<vec4f>(weights[row * ROW_VECTORS + index]);
}
