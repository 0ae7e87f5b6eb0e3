// Rearranges some rows of a weight from its stored bytes to the vectors that weights.wgsl describes: an
// invocation a vector. What a row lacks to whole groups becomes zero.
@group(0) @binding(1) var<storage, read_write> arranged: array<vec4u>;
@group(0) @binding(2) var<storage, read> stored: array<u32>;

// Bytes and halves at even addresses.
fn half_at(address: u32) -> u32 {
  return (stored[address / 4u] >> (address % 4u * 8u)) & 0xffffu;
}

fn word_at(address: u32) -> u32 {
  return half_at(address) | (half_at(address + 2u) << 16u);
}

#ifdef WEIGHT_F32
fn word(row: u32, vector: u32, at: u32) -> u32 {
  let element = vector * 4u + at;
  return select(0u, stored[row * K + element], element < K);
}
#endif

#if defined(WEIGHT_F16) || defined(WEIGHT_BF16)
fn word(row: u32, vector: u32, at: u32) -> u32 {
  return element(row, vector * 8u + at * 2u) | (element(row, vector * 8u + at * 2u + 1u) << 16u);
}

fn element(row: u32, column: u32) -> u32 {
  return select(0u, half_at(2u * (row * K + column)), column < K);
}
#endif

#if defined(WEIGHT_Q8_0) || defined(WEIGHT_Q4_0)
#ifdef WEIGHT_Q8_0
const GROUP_VECTORS = 17u;
const BLOCK_BYTES = 34u;
#else
const GROUP_VECTORS = 9u;
const BLOCK_BYTES = 18u;
#endif
const BLOCKS = K / 32;

fn word(row: u32, vector: u32, at: u32) -> u32 {
  let block = vector / GROUP_VECTORS * 8u + 2u * at;
  let body = vector % GROUP_VECTORS;
  if (body == 0u) {
    return block_half(row, block) | (block_half(row, block + 1u) << 16u);
  }
  let half = (body - 1u) % 2u;
#ifdef WEIGHT_Q8_0
  return block_word(row, vector / GROUP_VECTORS * 8u + (body - 1u) / 2u, half * 4u + at);
#else
  let even = vector / GROUP_VECTORS * 8u + (body - 1u) / 2u * 2u;
  let low = block_word(row, even, at);
  let high = block_word(row, even + 1u, at);
  if (half == 0u) {
    return (low & 0x0f0f0f0fu) | ((high & 0x0f0f0f0fu) << 4u);
  }
  return ((low >> 4u) & 0x0f0f0f0fu) | (high & 0xf0f0f0f0u);
#endif
}

fn block_half(row: u32, block: u32) -> u32 {
  return select(0u, half_at((row * BLOCKS + block) * BLOCK_BYTES), block < BLOCKS);
}

fn block_word(row: u32, block: u32, at: u32) -> u32 {
  let address = (row * BLOCKS + block) * BLOCK_BYTES + 2u + 4u * at;
  return select(0u, word_at(address), block < BLOCKS);
}
#endif

#ifdef WEIGHT_Q6_K
fn word(row: u32, vector: u32, at: u32) -> u32 {
  let block = (row * (K / 256) + vector / 14u) * 210u;
  let body = vector % 14u;
  if (body == 0u) {
    return select(0u, bitcast<u32>(unpack2x16float(half_at(block + 208u)).x), at == 0u);
  }
  if (body == 1u) {
    let scales = block + 192u + at % 2u * 8u;
    return every_second(word_at(scales), at / 2u) | (every_second(word_at(scales + 4u), at / 2u) << 16u);
  }
  if (body < 10u) {
    return word_at(block + at * 32u + (body - 2u) * 4u);
  }
  return word_at(block + 128u + at % 2u * 32u + ((body - 10u) * 2u + at / 2u) * 4u);
}

// Bytes 0 and 2, or 1 and 3, side by side.
fn every_second(bytes: u32, odd: u32) -> u32 {
  let kept = (bytes >> (8u * odd)) & 0x00ff00ffu;
  return (kept | (kept >> 8u)) & 0xffffu;
}
#endif

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * GROUP + thread;
  if (i >= arrayLength(&arranged)) {
    return;
  }
  let row = i / ROW_VECTORS;
  let vector = i % ROW_VECTORS;
  arranged[i] = vec4u(
    word(row, vector, 0u),
    word(row, vector, 1u),
    word(row, vector, 2u),
    word(row, vector, 3u),
  );
}
