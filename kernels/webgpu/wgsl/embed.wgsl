// out[t] = table[ids[t]] of the rows [FIRST, FIRST + COUNT) of a table; the first shard zeroes what no shard has.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;

fn value(i: u32) -> f32 {
#if F32
  return bitcast<f32>(table[i]);
#elif F16
  return unpack2x16float(table[i / 2u])[i % 2u];
#elif BF16
  return bitcast<f32>((table[i / 2u] >> (16u * (i % 2u))) << 16u);
#endif
}

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.x + group.y * groups.x) * GROUP + lane;
  if (i >= ROWS * WIDTH) {
    return;
  }
  let id = ids[i / WIDTH];
  if (id >= FIRST && id < FIRST + COUNT) {
    out[i] = value((id - FIRST) * WIDTH + i % WIDTH);
  } else if (FIRST == 0u && id >= VOCABULARY) {
    out[i] = 0.0;
  }
}
