// The counter-based random numbers of kernels/sampling/rng.ts.

fn mixed(value: u32) -> u32 {
  var hash = value;
  hash = (hash ^ (hash >> 16)) * 0x85ebca6bu;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35u;
  return hash ^ (hash >> 16);
}

// A number in [0, 1) from a sample's seed and the index of its draw.
fn uniform_of(row: u32) -> f32 {
  let low = mixed(u32(integers[row * 8]) ^ 0x9e3779b9u);
  let seed = mixed(low ^ u32(integers[row * 8 + 1]));
  let bits = mixed(seed + u32(integers[row * 8 + 2]) * 0x9e3779b9u);
  return min(f32(bits) / 4294967296.0, 0.99999994);
}
