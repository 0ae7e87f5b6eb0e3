// Softmax of a token's scores and its TOP_K best experts: a workgroup a token. An expert's rank is the number of
// those before it, so that equal scores go to the lower index.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(2) var<storage, read_write> masses: array<f32>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;

var<workgroup> scores: array<f32, EXPERTS>;
var<workgroup> best: array<f32, TOP_K>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let token = group.x + group.y * groups.x;
  if (token >= LIVE) {
    return;
  }
  for (var i = thread; i < EXPERTS; i += THREADS) {
    scores[i] = logits[token * EXPERTS + i];
  }
  workgroupBarrier();
  var highest = scores[0];
  for (var i = 1u; i < EXPERTS; i++) {
    highest = max(highest, scores[i]);
  }
  for (var expert = thread; expert < EXPERTS; expert += THREADS) {
    let rank = rank_of(expert);
    if (rank < TOP_K) {
      chosen[token * TOP_K + rank] = expert;
      best[rank] = exp(scores[expert] - highest);
    }
  }
  workgroupBarrier();
  var sum = 0.0;
#ifdef NORMALISE
  for (var i = 0u; i < TOP_K; i++) {
    sum += best[i];
  }
#else
  for (var i = 0u; i < EXPERTS; i++) {
    sum += exp(scores[i] - highest);
  }
#endif
  for (var i = thread; i < TOP_K; i += THREADS) {
    masses[token * TOP_K + i] = best[i] / sum;
  }
}

fn rank_of(expert: u32) -> u32 {
  let score = scores[expert];
  var rank = 0u;
  for (var i = 0u; i < EXPERTS; i++) {
    let other = scores[i];
    rank += select(0u, 1u, other > score || (other == score && i < expert));
  }
  return rank;
}
