// Of HEADS_HERE query heads, one or four: a number each, and four numbers each. Four numbers may be elements, or
// scores of four keys; then they are indexed by key.
#if HEADS_HERE == 1
alias PerHead = f32;
alias Fours = vec4<f32>;
#else
alias PerHead = vec4<f32>;
alias Fours = mat4x4<f32>;
#endif

// Of vectors by column and thread.
var<workgroup> exchange: array<vec4<f32>, EXCHANGE>;
var<workgroup> team_sums: array<vec4<f32>, HEADS_HERE * TEAMS>;
var<workgroup> team_highest: array<PerHead, TEAMS>;
var<workgroup> team_mass: array<PerHead, TEAMS>;

fn of_head(x: PerHead, head: u32) -> f32 {
#if HEADS_HERE == 1
  return x;
#else
  return x[head];
#endif
}

fn scaled(x: Fours, by: PerHead) -> Fours {
#if HEADS_HERE == 1
  return x * by;
#else
  return mat4x4<f32>(x[0] * by.x, x[1] * by.y, x[2] * by.z, x[3] * by.w);
#endif
}

// Sums over a team, LANES neighbouring threads, for each of them.
#ifdef SUBGROUPS
fn with_neighbour(x: Fours, distance: u32) -> Fours {
#if HEADS_HERE == 1
  return x + subgroupShuffleXor(x, distance);
#else
  return mat4x4<f32>(
    x[0] + subgroupShuffleXor(x[0], distance),
    x[1] + subgroupShuffleXor(x[1], distance),
    x[2] + subgroupShuffleXor(x[2], distance),
    x[3] + subgroupShuffleXor(x[3], distance),
  );
#endif
}

fn team_sum(own: Fours, thread: u32) -> Fours {
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
fn team_sum(own: Fours, thread: u32) -> Fours {
  let team = thread / LANES;
#if HEADS_HERE == 1
  exchange[thread] = own;
#else
#for KEY 0 4
  exchange[KEY * THREADS + thread] = own[KEY];
#endfor
#endif
  workgroupBarrier();
  for (var column = thread % LANES; column < HEADS_HERE; column += LANES) {
    var sum = vec4<f32>();
    for (var i = 0u; i < LANES; i++) {
      sum += exchange[column * THREADS + team * LANES + i];
    }
    team_sums[column * TEAMS + team] = sum;
  }
  workgroupBarrier();
#if HEADS_HERE == 1
  return team_sums[team];
#else
  return mat4x4<f32>(
    team_sums[team],
    team_sums[TEAMS + team],
    team_sums[2 * TEAMS + team],
    team_sums[3 * TEAMS + team],
  );
#endif
}
#endif
