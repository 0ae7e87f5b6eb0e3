// out += x over all live elements.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> out: array<VALUE>;
#ifndef IN_PLACE
@group(0) @binding(2) var<storage, read> x: array<VALUE>;
#endif

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
#ifdef IN_PLACE
  out[i] += out[i];
#else
  out[i] += x[i];
#endif
}
