// Merges the parts of a token's context: one workgroup a head and token, one thread an element. Parts lie by
// [part, token, head], each with HEAD_DIM weighted sums, the highest score, the mass, and how many parts there are.
#include "step.wgsl"

@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * HEADS + group.x;
  let stride = step.tokens * HEADS * PART;
  let count = min(u32(parts[row * PART + HEAD_DIM + 2]), MAX_SPLITS);
  for (var dim = thread; dim < HEAD_DIM; dim += THREADS) {
    var highest = -1e30;
    var mass = 0.0;
    var sum = 0.0;
    for (var i = 0u; i < count; i += 4) {
      // Four loads at once; those beyond the last part weigh nothing.
      let at = row * PART + min(i + vec4<u32>(0, 1, 2, 3), vec4<u32>(count - 1)) * stride;
      let top = at + HEAD_DIM;
      let tops = select(
        vec4<f32>(-1e30),
        vec4<f32>(parts[top.x], parts[top.y], parts[top.z], parts[top.w]),
        i + vec4<u32>(0, 1, 2, 3) < vec4<u32>(count),
      );
      let masses = vec4<f32>(parts[top.x + 1], parts[top.y + 1], parts[top.z + 1], parts[top.w + 1]);
      let sums = vec4<f32>(parts[at.x + dim], parts[at.y + dim], parts[at.z + dim], parts[at.w + dim]);
      let risen = max(highest, max(max(tops.x, tops.y), max(tops.z, tops.w)));
      let weights = exp(tops - risen);
      mass = mass * exp(highest - risen) + dot(weights, masses);
      sum = sum * exp(highest - risen) + dot(weights, sums);
      highest = risen;
    }
    out[row * HEAD_DIM + dim] = sum / mass;
  }
}
