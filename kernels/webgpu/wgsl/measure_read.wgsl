// Reads all of x once and keeps nothing: what the memory gives.
@group(0) @binding(1) var<storage, read_write> out: array<vec4u>;
@group(0) @binding(2) var<storage, read> x: array<vec4u>;

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.x + group.y * groups.x) * GROUP * EACH + thread;
  var sum = vec4u();
  for (var i = 0u; i < EACH; i++) {
    sum ^= x[first + i * GROUP];
  }
  // Never so, which no compiler can know.
  if (all(sum == vec4u(1u, 2u, 3u, 4u))) {
    out[0] = sum;
  }
}
