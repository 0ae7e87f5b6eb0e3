// out += the weighted results of a token's slots whose expert is held.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> results: array<f32>;
@group(0) @binding(3) var<storage, read> chosen: array<u32>;
@group(0) @binding(4) var<storage, read> masses: array<f32>;

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * GROUP + thread;
  if (i >= LIVE * WIDTH) {
    return;
  }
  let column = i % WIDTH;
  var sum = out[i];
  for (var slot = i / WIDTH * SLOTS; slot < (i / WIDTH + 1u) * SLOTS; slot++) {
    if (chosen[slot] - FIRST_EXPERT < EXPERTS) {
      sum += masses[slot] * results[slot * WIDTH + column];
    }
  }
  out[i] = sum;
}
