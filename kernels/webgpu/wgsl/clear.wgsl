// Zeroes all live elements, of any dtype of four bytes.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.x + group.y * groups.x) * GROUP + lane;
  if (i < ROWS * WIDTH) {
    out[i] = 0u;
  }
}
