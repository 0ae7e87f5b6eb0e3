// out = silu(gate) * up, of rows that hold FFN gates, then as many ups.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> both: array<f32>;

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * GROUP + thread;
  if (i >= LIVE * FFN) {
    return;
  }
  let at = i + i / FFN * FFN;
  out[i] = both[at] / (1.0 + exp(-both[at])) * both[at + FFN];
}
