// out[t] = table[ids[t]], or table[sampled[~ids[t]]], of the rows [FIRST, FIRST + COUNT) of a table; the first shard zeroes what no shard has.
// An invocation copies four elements.
#include "step.wgsl"
#include "weights.wgsl"
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#ifdef SAMPLES
@group(0) @binding(4) var<storage, read> sampled: array<u32>;
#endif

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.x + group.y * groups.x) * GROUP + lane;
  let token = i / WIDTH;
  let quad = i % WIDTH;
  if (token >= ROWS) {
    return;
  }
  var id = ids[token];
#ifdef SAMPLES
  // -1 - s, which is ~s, stands for sampled[s].
  if (~id < SAMPLES) {
    id = sampled[~id];
  }
#endif
  let is_here = id >= FIRST && id < FIRST + COUNT;
  if (!is_here && (FIRST > 0u || id < VOCABULARY)) {
    return;
  }
  var values = vec4f();
  if (is_here) {
    values = weight4(id - FIRST, quad);
  }
  let start = token * K + quad * 4u;
#for I 0 4
  if (quad * 4u + I < K) {
    out[start + I] = values[I];
  }
#endfor
}
