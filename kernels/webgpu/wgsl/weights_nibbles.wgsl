// Nibbles of eight runs of 32 elements, after a vector of their scales: a vector for half of two runs, the low
// nibbles of the first, the high ones of the second.
#define UNITS (ROW_VECTORS / 9 * 8)
#define PARTS 8
#define X_UNITS 2

fn part_index(unit: u32, part: u32) -> u32 {
  return (unit / 2u * 2u + part / 4u) * 8u + unit % 2u * 4u + part % 4u;
}

fn x_unit(unit: u32, half: u32) -> u32 {
  return unit / 2u * 4u + half * 2u + unit % 2u;
}

// The vectors of eight runs of a row begin there.
fn group_of(row: u32, index: u32) -> u32 {
  return row * ROW_VECTORS + index / 64u * 9u;
}

// The nibbles of four elements, in the lower halves of bytes.
fn nibbles4(group: u32, index: u32) -> u32 {
  let run = index / 8u % 8u;
  return weights[group + 1u + run / 2u * 2u + index / 4u % 2u][index % 4u] >> (4u * (run % 2u));
}

// 1 + nibble / 16 of the lower halves of bytes.
fn nibble_mantissas(low: u32) -> vec4f {
  return mantissas(vec4u(low << 19u, low << 11u, low << 3u, low >> 5u), 0x00780000u);
}
