// Sums over a team: LANES neighbouring threads.

// Of vectors by column and thread.
var<workgroup> exchange: array<vec4<f32>, EXCHANGE>;
var<workgroup> team_sums: array<vec4<f32>, 4 * TEAMS>;
var<workgroup> team_highest: array<vec4<f32>, TEAMS>;
var<workgroup> team_mass: array<vec4<f32>, TEAMS>;

// Each thread's sum over its team.
#ifdef SUBGROUPS
fn with_neighbour(x: mat4x4<f32>, distance: u32) -> mat4x4<f32> {
  return mat4x4<f32>(
    x[0] + subgroupShuffleXor(x[0], distance),
    x[1] + subgroupShuffleXor(x[1], distance),
    x[2] + subgroupShuffleXor(x[2], distance),
    x[3] + subgroupShuffleXor(x[3], distance),
  );
}

fn team_sum(own: mat4x4<f32>, thread: u32) -> mat4x4<f32> {
  var sum = own;
#if LANES > 1
  sum = with_neighbour(sum, 1);
#endif
#if LANES > 2
  sum = with_neighbour(sum, 2);
#endif
#if LANES > 4
  sum = with_neighbour(sum, 4);
#endif
#if LANES > 8
  sum = with_neighbour(sum, 8);
#endif
#if LANES > 16
  sum = with_neighbour(sum, 16);
#endif
  return sum;
}
#else
fn team_sum(own: mat4x4<f32>, thread: u32) -> mat4x4<f32> {
  let team = thread / LANES;
  exchange[thread] = own[0];
  exchange[THREADS + thread] = own[1];
  exchange[2 * THREADS + thread] = own[2];
  exchange[3 * THREADS + thread] = own[3];
  workgroupBarrier();
  for (var column = thread % LANES; column < 4; column += LANES) {
    var sum = vec4<f32>();
    for (var i = 0u; i < LANES; i++) {
      sum += exchange[column * THREADS + team * LANES + i];
    }
    team_sums[column * TEAMS + team] = sum;
  }
  workgroupBarrier();
  return mat4x4<f32>(
    team_sums[team],
    team_sums[TEAMS + team],
    team_sums[2 * TEAMS + team],
    team_sums[3 * TEAMS + team],
  );
}
#endif
