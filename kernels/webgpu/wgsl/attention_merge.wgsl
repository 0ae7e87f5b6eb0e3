// Merges the parts of a token's context: one workgroup a head and token, one thread an element.
#include "step.wgsl"
#include "attention_common.wgsl"
#include "attention_splits.wgsl"

@group(0) @binding(7) var<storage, read> parts: array<f32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  if (is_tiled(row)) {
    return;
  }
  let position = position_of(row);
  let length = position + 1 - first_seen(position);
  let part = part_keys(length);
  let count = (length + part - 1) / part;
  let head = row * HEADS + group.x;
  let first = head * splits() * PART;

  var highest = f32(LOWEST);
  for (var i = 0u; i < count; i++) {
    highest = max(highest, parts[first + i * PART + HEAD_DIM]);
  }
  for (var dim = thread; dim < HEAD_DIM; dim += 64) {
    var mass = 0.0;
    var sum = 0.0;
    for (var i = 0u; i < count; i++) {
      let at = first + i * PART;
      let weight = exp(parts[at + HEAD_DIM] - highest);
      mass += weight * parts[at + HEAD_DIM + 1];
      sum += weight * parts[at + dim];
    }
    out[head * HEAD_DIM + dim] = sum / mass;
  }
}
