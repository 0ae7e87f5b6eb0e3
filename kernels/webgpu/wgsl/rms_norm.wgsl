// out = x / sqrt(mean(x²) + EPS) * weight, a workgroup a row.
#include "step.wgsl"
#include "reduce.wgsl"
@group(0) @binding(1) var<storage, read_write> out: array<VALUE>;
@group(0) @binding(2) var<storage, read> weight: array<VALUE>;
#ifdef IN_PLACE
#define SOURCE out
#else
#define SOURCE x
@group(0) @binding(3) var<storage, read> x: array<VALUE>;
#endif

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= ROWS) {
    return;
  }
  let start = row * WIDTH;
  var squares = 0.0;
  for (var i = lane; i < WIDTH; i += GROUP) {
    let value = SOURCE[start + i];
#if VECTOR
    squares += dot(value, value);
#else
    squares += value * value;
#endif
  }
  let scale = inverseSqrt(group_sum(squares, lane) / ELEMENTS + EPS);
  for (var i = lane; i < WIDTH; i += GROUP) {
    out[start + i] = SOURCE[start + i] * scale * weight[i];
  }
}
