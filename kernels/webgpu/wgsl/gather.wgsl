// out[s] = x[indices[s]]; zeros where the index is out of range.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> out: array<VALUE>;
@group(0) @binding(2) var<storage, read> x: array<VALUE>;
@group(0) @binding(3) var<storage, read> indices: array<u32>;

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
  let row = indices[i / WIDTH];
  if (row < SOURCE_ROWS) {
    out[i] = x[row * WIDTH + i % WIDTH];
  } else {
    out[i] = VALUE();
  }
}
