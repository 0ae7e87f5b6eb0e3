// Lists the slots of each expert in their order, and cuts the lists into tiles: a workgroup an expert. Expert e's
// tiles begin at (slots of those before it) / TILE + e, which leaves enough room before those of e + 1; the rest
// of that room gets empty tiles.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> tiles: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> list: array<u32>;
@group(0) @binding(3) var<storage, read> chosen: array<u32>;

// Of each thread's run of slots: those of earlier experts, and of this one.
var<workgroup> counts: array<vec2u, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let expert = group.x;
  let slots = LIVE;
  let each = (slots + THREADS - 1) / THREADS;
  let begin = thread * each;
  let end = min(begin + each, slots);
  var own = vec2u();
  for (var slot = begin; slot < end; slot++) {
    let other = chosen[slot] - FIRST_EXPERT;
    own += select(vec2u(), vec2u(1u), vec2<bool>(other < expert, other == expert));
  }
  counts[thread] = own;
  workgroupBarrier();
  var total = vec2u();
  var before = 0u;
  for (var i = 0u; i < THREADS; i++) {
    before += select(0u, counts[i].y, i < thread);
    total += counts[i];
  }
  let start = total.x;
  let count = total.y;
  var entry = start + before;
  for (var slot = begin; slot < end; slot++) {
    if (chosen[slot] - FIRST_EXPERT == expert) {
      list[entry] = slot;
      entry++;
    }
  }
  let first = start / TILE + expert;
  let is_last = expert + 1u == EXPERTS;
  let next = select((start + count) / TILE + expert + 1u, slots / TILE + EXPERTS, is_last);
  for (var i = thread; i < next - first; i += THREADS) {
    let left = count - min(count, i * TILE);
    tiles[first + i] = vec4u(expert, start + i * TILE, min(left, TILE), 0u);
  }
}
