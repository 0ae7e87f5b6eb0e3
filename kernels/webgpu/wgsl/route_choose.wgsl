// Softmax of a token's scores and its TOP_K best experts: a workgroup a token. An expert's rank is the number of
// those before it, so that equal scores go to the lower index.
#include "step.wgsl"
@group(0) @binding(1) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(2) var<storage, read_write> masses: array<f32>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;

// Scores are read in blocks of 32 at fixed places; beyond the last there are some below all others.
#define QUADS 8
#define BLOCKS ((EXPERTS + 4 * QUADS - 1) / (4 * QUADS))
const LOWEST = -3.4e38;
var<workgroup> scores: array<array<vec4f, QUADS>, BLOCKS>;
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
  for (var quad = thread; quad < BLOCKS * QUADS; quad += THREADS) {
    let expert = 4u * vec4u(quad) + vec4u(0u, 1u, 2u, 3u);
    let at = token * EXPERTS + min(expert, vec4u(EXPERTS - 1u));
    let four = vec4f(logits[at.x], logits[at.y], logits[at.z], logits[at.w]);
    scores[quad / QUADS][quad % QUADS] = select(vec4f(LOWEST), four, expert < vec4u(EXPERTS));
  }
  workgroupBarrier();
  let highest = highest_score();
  for (var expert = thread; expert < EXPERTS; expert += THREADS) {
    let score = scores[expert / (4 * QUADS)][expert / 4 % QUADS][expert % 4];
    let rank = rank_of(expert, score);
    if (rank < TOP_K) {
      chosen[token * TOP_K + rank] = expert;
      best[rank] = exp(score - highest);
    }
  }
  workgroupBarrier();
  if (thread >= TOP_K) {
    return;
  }
  var sum = 0.0;
#ifdef NORMALISE
#for I 0 TOP_K
  sum += best[I];
#endfor
#else
  sum = sum_of_masses(highest);
#endif
  for (var i = thread; i < TOP_K; i += THREADS) {
    masses[token * TOP_K + i] = best[i] / sum;
  }
}

fn highest_score() -> f32 {
  var highest = vec4f(LOWEST);
  for (var block = 0u; block < BLOCKS; block++) {
#for QUAD 0 QUADS
    highest = max(highest, scores[block][QUAD]);
#endfor
  }
  return max(max(highest.x, highest.y), max(highest.z, highest.w));
}

fn rank_of(expert: u32, score: f32) -> u32 {
  var ranks = vec4u();
  for (var block = 0u; block < BLOCKS; block++) {
    let first = 4u * QUADS * vec4u(block) + vec4u(0u, 1u, 2u, 3u);
#for QUAD 0 QUADS
    {
      let others = scores[block][QUAD];
      let earlier = first + 4u * QUAD < vec4u(expert);
      ranks += select(vec4u(), vec4u(1u), (others > vec4f(score)) | ((others == vec4f(score)) & earlier));
    }
#endfor
  }
  return ranks.x + ranks.y + ranks.z + ranks.w;
}

fn sum_of_masses(highest: f32) -> f32 {
  var sum = vec4f();
  for (var block = 0u; block < BLOCKS; block++) {
#for QUAD 0 QUADS
    sum += exp(scores[block][QUAD] - highest);
#endfor
  }
  return sum.x + sum.y + sum.z + sum.w;
}
