// Products of few rows. A workgroup multiplies ROWS rows of the weight by TOKENS rows of x; its threads share
// out the units of the rows, then add up. Every weight is read once for all TOKENS.
//   SWIGLU          half of the ROWS are gate rows, half the up rows of the same results
//   SLOTS           x · expert for one slot, a token's choice of an expert, a workgroup
//   SLOTS, COMBINE  the weighted sum over the slots of one token, whose rows of x they are
enable subgroups;
#ifdef SWIGLU
#define RESULTS (ROWS / 2)
#else
#define RESULTS ROWS
#endif
#include "products.wgsl"

#ifdef SLOTS
@group(0) @binding(4) var<storage, read> chosen: array<u32>;
#endif
#ifdef COMBINE
@group(0) @binding(5) var<storage, read> masses: array<f32>;
#endif

#ifdef SUBGROUPS
// Subgroups have at least four threads.
#define PARTIALS (THREADS / 4)
#else
#define PARTIALS THREADS
#endif
var<workgroup> partial: array<f32, PARTIALS * ROWS * TOKENS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
#ifdef SUBGROUPS
  @builtin(subgroup_size) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
#endif
) {
  let first = group.y * RESULTS;
  let token = group.x * TOKENS;
#if defined(SLOTS) && !defined(COMBINE)
  let expert = chosen[token] - FIRST_EXPERT;
  if (expert >= EXPERTS) {
    return;
  }
  let matrix = expert * MATRIX_ROWS;
#elif !defined(SLOTS)
  let matrix = 0u;
#endif
  var sums: array<f32, ROWS * TOKENS>;
#ifdef COMBINE
  for (var i = thread; i < SLOTS * UNITS; i += THREADS) {
    let unit = i % UNITS;
    let slot = token * SLOTS + i / UNITS;
    let expert = chosen[slot] - FIRST_EXPERT;
    if (expert >= EXPERTS) {
      continue;
    }
    let matrix = expert * MATRIX_ROWS;
    let mass = masses[slot];
#else
  for (var unit = thread; unit < UNITS; unit += THREADS) {
#endif
    var units: array<Unit, ROWS>;
#for ROW 0 ROWS
    units[ROW] = load_unit(matrix + weight_row(first, ROW), unit);
#endfor
#for PART 0 PARTS
    {
      var decoded: array<vec4f, ROWS>;
#for ROW 0 ROWS
      decoded[ROW] = decode(units[ROW], PART);
#endfor
#for TOKEN 0 TOKENS
      {
#ifdef COMBINE
        let value = mass * x4(slot, part_index(unit, PART));
#elif defined(SLOTS)
        let value = x4(token / SLOTS, part_index(unit, PART));
#elif TOKENS == 1
        let value = x4(token, part_index(unit, PART));
#else
        let value = x4(min(token + TOKEN, LIVE - 1u), part_index(unit, PART));
#endif
#for ROW 0 ROWS
        sums[ROW * TOKENS + TOKEN] = dot4(decoded[ROW], value, sums[ROW * TOKENS + TOKEN]);
#endfor
      }
#endfor
    }
#endfor
  }
#ifdef SUBGROUPS
  let partials = THREADS / subgroup;
  let place = thread / subgroup * (ROWS * TOKENS);
#for SUM 0 ROWS*TOKENS
  {
    let sum = subgroupAdd(sums[SUM]);
    if (lane == 0u) {
      partial[place + SUM] = sum;
    }
  }
#endfor
#else
  let partials = u32(THREADS);
#for SUM 0 ROWS*TOKENS
  partial[thread * (ROWS * TOKENS) + SUM] = sums[SUM];
#endfor
#endif
  workgroupBarrier();
  let result = first + thread / TOKENS;
  let row = token + thread % TOKENS;
  if (thread >= RESULTS * TOKENS || result >= N || row >= LIVE) {
    return;
  }
#ifdef SWIGLU
  put(row, result, silu(total(thread, partials)) * total(thread + RESULTS * TOKENS, partials));
#else
  put(row, result, total(thread, partials));
#endif
}

fn total(sum: u32, partials: u32) -> f32 {
  var result = 0.0;
  for (var i = 0u; i < partials; i++) {
    result += partial[i * (ROWS * TOKENS) + sum];
  }
  return result;
}
